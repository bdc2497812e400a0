// A network learns: data, layers and settings; the boundary, the units, the weights and the curves.
import { CLASSES, Trail, curves, diverging, palette, pixels, shown, sized } from "./draw.js";
import {
    Runner, State, areSettings, button, chapter, check, engine, field, fill, lead, make, number, numbers, page, save, say, sayFault, select,
    sentence, settingsOf, slider, stale, t,
} from "./page.js";

const DATA = ["circles", "spirals", "moons", "xor", "three", "waves", "plane", "own"];
const INPUTS = ["x1", "x2", "x1^2", "x2^2", "x1*x2", "sin(3*x1)", "sin(3*x2)"];
const NORMALISATIONS = ["None", "BatchNorm", "LayerNorm", "RmsNorm"];
const VALUES = ["waves", "plane"];
const SPEEDS = [1, 2, 5, 10, 20, 50];
const REACH = 1.2;
const [BOUNDARY, UNIT] = [72, 20];
const MOST_UNITS = 16;
const MOST_LAYERS = 6;
const MOST_POINTS = 600;
/** The fewest points: some to learn from, and some to test with. */
const FEWEST = 4;

const isName = (text) => /^[A-Za-z0-9]{1,30}$/.test(text);
const name = (initial) => ({ initial, read: (text) => (isName(text) ? text : undefined), print: String });
const settings = () => field.json({}, areSettings);

/** Layers as `8.Tanh.LayerNorm.0.1`, joined by `_`. */
const layersField = {
    initial: [{ units: 8, activation: "Silu", normalisation: "None", dropout: 0 }, { units: 8, activation: "Silu", normalisation: "None", dropout: 0 }],
    read: (text) => {
        if (text === "none") {
            return [];
        }
        const layers = text.split("_").map((one) => {
            const [units, activation, normalisation = "None", ...dropout] = one.split(".");
            const rate = dropout.length ? Number(dropout.join(".")) : 0;
            const isValid = /^\d+$/.test(units) && units >= 1 && units <= MOST_UNITS && isName(activation ?? "")
                && NORMALISATIONS.includes(normalisation) && rate >= 0 && rate < 1;
            return isValid ? { units: Number(units), activation, normalisation, dropout: rate } : undefined;
        });
        return layers.length <= MOST_LAYERS && !layers.includes(undefined) ? layers : undefined;
    },
    print: (layers) => layers.map(({ units, activation, normalisation, dropout }) =>
        [units, activation, ...(normalisation !== "None" || dropout ? [normalisation] : []), ...(dropout ? [dropout] : [])].join(".")).join("_") || "none",
};

const inputsField = {
    initial: ["x1", "x2"],
    read: (text) => {
        const names = text.split(",");
        return names.every((one) => INPUTS.includes(one)) && new Set(names).size === names.length ? names : undefined;
    },
    print: (names) => names.join(","),
};

/** Points of one's own, four bytes each: twelve bits for each coordinate and eight for the target. */
const pointsField = {
    initial: [],
    read: (text) => {
        try {
            const bytes = Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (letter) => letter.charCodeAt(0));
            if (bytes.length % 4 || bytes.length > 4 * MOST_POINTS) {
                return undefined;
            }
            const points = [];
            for (let at = 0; at < bytes.length; at += 4) {
                const [a, b, c, target] = bytes.slice(at, at + 4);
                points.push([((a << 4) | (b >> 4)) / 2047.5 * 1.2 - 1.2, (((b & 15) << 8) | c) / 2047.5 * 1.2 - 1.2, target]);
            }
            return points;
        } catch {
            return undefined;
        }
    },
    print: (points) => {
        const part = (value) => Math.max(0, Math.min(4095, Math.round((value + 1.2) / 1.2 * 2047.5)));
        const bytes = points.flatMap(([x, y, target]) => {
            const [a, b] = [part(x), part(y)];
            return [a >> 4, ((a & 15) << 4) | (b >> 8), b & 255, target];
        });
        return btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
    },
};

const state = new State({
    data: field.oneOf(DATA, "spirals"),
    points: pointsField,
    values: field.flag(false),
    examples: field.number(400, 20, 2000, true),
    noise: field.number(0, 0, 1),
    share: field.number(0.5, 0.1, 0.9),
    seed: field.number(1, 0, 1e9, true),
    inputs: inputsField,
    layers: layersField,
    loss: name(""),
    lossSettings: settings(),
    optimizer: name("Adam"),
    rate: field.number(0.03, 1e-6, 10),
    optimizerSettings: settings(),
    schedule: name("Constant"),
    scheduleSettings: settings(),
    batch: field.number(20, 1, 2000, true),
    l1: field.number(0, 0, 10),
    l2: field.number(0, 0, 10),
    clip: field.number(0, 0, 1e9),
    speed: field.oneOf(SPEEDS, 5),
    tests: field.flag(false),
});

let catalogue = null;
let about = null;
let points = null;
let view = null;
let parts = {};
let history = { train: new Trail(), test: new Trail() };
let version = 0;
let chosen = null;
let drawn = {};
/** What is known of the columns of a file that was opened here. */
let table = null;
let pen = 0;
let cursor = [0, 0];

const areValues = () => (state.values.data === "own" ? state.values.values : VALUES.includes(state.values.data));
const losses = () => (areValues() ? catalogue.value_losses : catalogue.class_losses);
const lossName = () => (losses().some((one) => one.name === state.values.loss) ? state.values.loss : losses()[0].name);
const classColour = (target) => palette().classes[target % 6];
const classVariable = (target) => `var(--${CLASSES[target % 6]})`;

/** What the library needs to know. */
function request() {
    const { values } = state;
    return {
        data: values.data,
        points: values.data === "own" ? values.points.map(([x, y, target]) => [x, y, values.values ? target / 127.5 - 1 : target]) : [],
        values: values.values,
        examples: values.examples,
        noise: values.noise,
        share: values.share,
        seed: values.seed,
        inputs: values.inputs,
        layers: values.layers.map(({ units, activation, normalisation, dropout }) =>
            ({ units, activation: { name: activation }, normalisation, dropout })),
        loss: { name: lossName(), settings: lossName() === state.values.loss || !state.values.loss ? values.lossSettings : {} },
        optimizer: { name: values.optimizer, rate: values.rate, settings: values.optimizerSettings },
        schedule: { name: values.schedule, settings: values.scheduleSettings },
        batch: values.batch,
        l1: values.l1,
        l2: values.l2,
        clip: values.clip,
    };
}

/** Begins anew with the settings as they are. */
const restart = () => runner.restart(begin);

async function begin() {
    const mine = ++version;
    chosen = null;
    try {
        catalogue ??= await engine.ask("catalogue");
        keepKnown();
        const isFew = state.values.data === "own" && state.values.points.length < FEWEST;
        const reply = isFew ? null : await engine.ask("learner-start", request());
        if (mine !== version) {
            return;
        }
        history = { train: new Trail(), test: new Trail() };
        view = null;
        about = reply;
        points = reply && numbers(reply);
        const refused = state.refused.length ? t("refused", { what: state.refused.join(", ") }) : "";
        say(refused || (isFew ? t("few points", { count: FEWEST }) : ""), refused !== "");
        state.refused = [];
        drawAll();
        if (about) { await look(); }
    } catch (error) {
        if (mine === version) {
            about = null;
            drawAll();
            sayFault(error);
        }
    }
}

/** Puts defaults in the place of names in the address that the library does not have. */
function keepKnown() {
    const { values } = state;
    const isKnown = (list, name) => list.some((one) => one.name === name);
    const refuse = (what, changes) => {
        state.refused.push(what);
        state.set(changes);
    };
    if (values.loss && !isKnown([...catalogue.class_losses, ...catalogue.value_losses], values.loss)) {
        refuse(`loss=${values.loss}`, { loss: "", lossSettings: {} });
    }
    if (!isKnown(catalogue.optimizers, values.optimizer)) {
        refuse(`optimizer=${values.optimizer}`, { optimizer: "Adam", optimizerSettings: {} });
    }
    if (!isKnown(catalogue.schedules, values.schedule)) {
        refuse(`schedule=${values.schedule}`, { schedule: "Constant", scheduleSettings: {} });
    }
    const unknown = values.layers.find(({ activation }) => !isKnown(catalogue.activations, activation));
    if (unknown) {
        refuse(`layers=${unknown.activation}`, { layers: layersField.initial });
    }
}

/** What is set, with the network that it makes; what has been learnt is drawn by `drawView`. */
function drawAll() {
    stale(about === null);
    if (catalogue) {
        drawControls();
        drawNetwork();
    }
    drawBoundary();
}

/** Changes settings and begins anew. */
function change(changes) {
    state.set(changes);
    restart();
}

/** Asks what there is to see, and draws it. */
async function look() {
    const mine = version;
    const reply = await engine.ask("learner-view", { boundary: BOUNDARY, units: UNIT, reach: REACH });
    if (mine !== version) {
        return;
    }
    const all = numbers(reply);
    parts = {};
    let at = 0;
    for (const [name, count] of reply.parts) {
        parts[name] = all.subarray(at, at + count);
        at += count;
    }
    view = reply;
    if (!history.train.last || history.train.last[0] < reply.steps) {
        history.train.push([reply.steps, Number(reply.train.loss)]);
        history.test.push([reply.steps, Number(reply.test.loss)]);
    }
    drawView();
}

const runner = new Runner("run", state, () => about !== null, async (steps) => {
    const mine = version;
    const reply = await engine.ask("learner-step", { steps });
    if (mine !== version) {
        return;
    }
    await look();
    if (reply.stopped) {
        runner.set(false);
        say(t("stopped", { step: reply.steps, why: sentence(reply.stopped) }), true);
    }
});

/* What is set */

function drawControls() {
    if (!drawn.data || !catalogue) {
        return;
    }
    const { values } = state;
    const isOwn = values.data === "own";
    fill(drawn.data,
        make("h2", {}, t("data")),
        make("div", { class: "fields one" },
            select(t("data set"), DATA.map((one) => [one, t(`data.${one}`)]), values.data, (data) => change({ data })),
            isOwn ? null : slider(t("noise"), values.noise, { least: 0, largest: 1 }, (noise) => change({ noise })),
            slider(t("share"), values.share, { least: 0.1, largest: 0.9, step: 0.05 }, (share) => change({ share }))),
        make("div", { class: "fields", style: "margin-top:8px" },
            isOwn ? null : number(t("examples"), values.examples, { least: 20, largest: 2000, whole: true }, (examples) => change({ examples })),
            number(t("seed"), values.seed, { least: 0, largest: 1e9, whole: true }, (seed) => change({ seed }))),
        isOwn ? ownPoints() : null,
        openFile(),
        make("p", { class: "note" }, about ? t("points count", { training: about.training, test: about.test }) : ""),
        check(t("show test points"), values.tests, (tests) => { state.set({ tests }); drawBoundary(); }));
    fill(drawn.inputs,
        make("h2", {}, t("inputs")),
        make("div", { class: "chips" }, INPUTS.map((input) => {
            const isOn = values.inputs.includes(input);
            return button(prettyInput(input), () => {
                const inputs = isOn ? values.inputs.filter((one) => one !== input) : INPUTS.filter((one) => one === input || values.inputs.includes(one));
                if (inputs.length) { change({ inputs }); }
            }, { class: "small", "aria-pressed": isOn });
        })),
        make("p", { class: "note" }, t("about inputs")));

    const optimizer = catalogue.optimizers.find((one) => one.name === values.optimizer);
    const schedule = catalogue.schedules.find((one) => one.name === values.schedule);
    const loss = losses().find((one) => one.name === lossName());
    const more = (summary, controls) => make("details", { hidden: controls.length === 0 }, make("summary", {}, summary), make("div", { class: "fields" }, controls));
    fill(drawn.training,
        make("h2", {}, t("training")),
        make("div", { class: "fields names" },
            select(t("optimizer"), catalogue.optimizers.map((one) => one.name), values.optimizer, (next) =>
                change({ optimizer: next, optimizerSettings: {}, rate: catalogue.optimizers.find((one) => one.name === next).rate })),
            slider(t("rate"), values.rate, { least: 1e-5, largest: 10, power: true, step: 0.05 }, (rate) => change({ rate })),
            select(t("schedule"), catalogue.schedules.map((one) => one.name), values.schedule, (next) => change({ schedule: next, scheduleSettings: {} })),
            select(t("loss"), losses().map((one) => one.name), lossName(), (next) => change({ loss: next, lossSettings: {} }))),
        make("div", { class: "fields" },
            number(t("batch"), values.batch, { least: 1, largest: 2000, whole: true }, (batch) => change({ batch })),
            number("L1", values.l1, { least: 0, largest: 10 }, (l1) => change({ l1 })),
            number("L2", values.l2, { least: 0, largest: 10 }, (l2) => change({ l2 })),
            number(t("clip"), values.clip, { least: 0, largest: 1e9 }, (clip) => change({ clip }))),
        more(t("settings of", { name: values.optimizer }), settingsOf(optimizer?.settings, values.optimizerSettings, (optimizerSettings) => change({ optimizerSettings }))),
        more(t("settings of", { name: values.schedule }), settingsOf(schedule?.settings, values.scheduleSettings, (scheduleSettings) => change({ scheduleSettings }))),
        more(t("settings of", { name: lossName() }), settingsOf(loss?.settings, values.lossSettings, (lossSettings) => change({ lossSettings }))),
        make("p", { class: "note" }, t("about training"), " ", chapter("training-well", t("chapter.training-well"))));
}

const prettyInput = (input) => ({ "x1": "x₁", "x2": "x₂", "x1^2": "x₁²", "x2^2": "x₂²", "x1*x2": "x₁x₂", "sin(3*x1)": "sin 3x₁", "sin(3*x2)": "sin 3x₂" })[input];

function ownPoints() {
    const { values } = state;
    return make("div", { style: "margin-top:10px" },
        make("p", { class: "note" }, t("draw points")),
        make("div", { class: "chips", role: "group", "aria-label": t("class to draw") },
            [0, 1, 2].map((one) => button("", () => { pen = one; drawControls(); },
                { class: "small swatch", "aria-pressed": pen === one, "aria-label": t("class n", { n: one + 1 }), style: `background:${classVariable(one)}` })),
            button(t("clear points"), () => { table = null; state.set({ points: [], values: false }); restart(); }, { class: "small" })),
        make("p", { class: "note" }, t("own count", { count: values.points.length })));
}

function openFile() {
    const input = make("input", { type: "file", accept: ".csv,text/csv", class: "sr", tabindex: -1, "aria-hidden": "true", onchange: () => input.files[0] && readFile(input.files[0]) });
    return make("div", { style: "margin-top:8px" }, input, button(t("open csv"), () => input.click(), { class: "small" }),
        make("p", { class: "note" }, t("about csv")));
}

/** Takes the points of a table: at most 600, evenly taken, so that the address can hold them. */
async function readFile(file) {
    try {
        if (file.size > 2 << 20) {
            throw new Error(t("file too large"));
        }
        const reply = await engine.ask("data-table", {}, new Uint8Array(await file.arrayBuffer()));
        const isValue = reply.classes === null;
        table = reply;
        const all = reply.points.length;
        const taken = Array.from({ length: Math.min(all, MOST_POINTS) }, (_, at) => reply.points[Math.floor(at * Math.max(1, all / MOST_POINTS))]).map(([x, y, target]) => [x, y, isValue ? Math.round((target + 1) * 127.5) : target]);
        state.set({ data: "own", points: taken, values: isValue });
        await restart();
        const brief = (names) => names.map((one) => (one.length > 24 ? `${one.slice(0, 24)}…` : one)).join(", ");
        say(`${t("csv read", { rows: taken.length, all, columns: brief(reply.columns) })} ${isValue ? t("csv values") : t("csv classes", { classes: brief(reply.classes) })}`);
    } catch (error) {
        sayFault(error);
    }
}

/* The network */

function drawNetwork() {
    const { values } = state;
    const unit = (label, index, isInput) => {
        const hover = (at) => () => { drawn.hover = at; drawBoundary(); };
        const element = button(make("canvas", { width: UNIT, height: UNIT }), () => { chosen = chosen === index ? null : index; drawView(); },
            { class: "unit", "aria-label": label, "aria-pressed": false, onpointerenter: hover(index), onpointerleave: hover(null) });
        return isInput ? make("div", { class: "unit-row" }, make("span", {}, label), element) : element;
    };
    let index = 0;
    const columns = [make("div", { class: "layer" }, make("div", { class: "name" }, t("inputs")),
        values.inputs.map((input) => unit(prettyInput(input), index++, true)))];
    values.layers.forEach((layer, at) => {
        const put = (changes) => change({ layers: values.layers.map((one, place) => (place === at ? { ...one, ...changes } : one)) });
        columns.push(make("div", { class: "layer" },
            make("div", { class: "name" },
                button("−", () => layer.units > 1 && put({ units: layer.units - 1 }), { "aria-label": t("fewer units", { n: at + 1 }), disabled: layer.units <= 1 }),
                String(layer.units),
                button("+", () => layer.units < MOST_UNITS && put({ units: layer.units + 1 }), { "aria-label": t("more units", { n: at + 1 }), disabled: layer.units >= MOST_UNITS })),
            Array.from({ length: layer.units }, (_, one) => unit(t("unit", { layer: at + 1, unit: one + 1 }), index++, false)),
            make("select", { "aria-label": t("activation of", { n: at + 1 }), onchange: (event) => put({ activation: event.target.value }) },
                catalogue.activations.map(({ name }) => make("option", { value: name, selected: name === layer.activation }, name))),
            make("select", { "aria-label": t("normalisation of", { n: at + 1 }), onchange: (event) => put({ normalisation: event.target.value }) },
                NORMALISATIONS.map((name) => make("option", { value: name, selected: name === layer.normalisation }, name === "None" ? t("no norm") : name))),
            make("select", { "aria-label": t("dropout of", { n: at + 1 }), onchange: (event) => put({ dropout: Number(event.target.value) }) },
                [...new Set([0, 0.1, 0.2, 0.3, 0.5, layer.dropout])].map((rate) => make("option", { value: rate, selected: rate === layer.dropout }, rate === 0 ? t("no dropout") : t("dropout p", { p: rate }))))));
    });
    const put = (layers) => change({ layers });
    fill(drawn.layerButtons,
        make("h2", { style: "margin:0" }, t("layers")), make("span", { class: "grow" }),
        button(t("remove layer"), () => put(values.layers.slice(0, -1)), { class: "small", disabled: values.layers.length === 0 }),
        button(t("add layer"), () => put([...values.layers, { units: 4, activation: values.layers.at(-1)?.activation ?? "Silu", normalisation: "None", dropout: 0 }]),
            { class: "small", disabled: values.layers.length >= MOST_LAYERS }));
    const outputs = make("div", { class: "layer", "aria-hidden": "true" }, make("div", { class: "name" }, t("output")),
        Array.from({ length: about?.classes ?? 1 }, (_, at) => make("div", { class: "out", style: `background:${about?.classes ? classVariable(at) : "var(--quiet)"}` })));
    fill(drawn.net, make("div", { class: "layers" }, make("canvas", { class: "lines", "aria-hidden": "true" }), columns, outputs));
    drawn.layers = drawn.net.firstChild;
    drawn.lines = drawn.layers.querySelector(".lines");
    drawn.outputs = [...drawn.layers.querySelectorAll(".out")];
    drawn.units = [...drawn.layers.querySelectorAll(".unit")].map((element, at) => ({ element, canvas: element.firstChild, index: at }));
    drawWeights();
}

/** The weights into a unit, to be changed by hand. */
function drawWeights() {
    const matrices = weightMatrices();
    let first = state.values.inputs.length;
    if (chosen === null || !view) {
        fill(drawn.weights);
        return;
    }
    for (const { start, shape: [ins, outs] } of matrices) {
        if (chosen >= first && chosen < first + outs) {
            const unit = chosen - first;
            const fields = Array.from({ length: ins }, (_, at) => {
                const index = start + at * outs + unit;
                return number(`w ${at + 1}`, Number(parts.parameters[index].toPrecision(4)), { least: -1000, largest: 1000 }, async (value) => {
                    try {
                        await engine.ask("learner-weight", { index, value });
                        await look();
                    } catch (error) {
                        sayFault(error);
                    }
                });
            });
            fill(drawn.weights, make("h2", {}, t("weights into")), make("div", { class: "fields" }, fields));
            return;
        }
        first += outs;
    }
    fill(drawn.weights, make("p", { class: "note" }, t("no weights into")));
}

const weightMatrices = () => (about ? about.segments.filter(({ name, shape }) => name.endsWith(".weight") && shape.length === 2) : []);

/* What there is to see */

/** The colour of a unit's output. */
const unitColour = (scale) => (value) => diverging(value / scale);

function answerColour(value) {
    const { rgb, classesRgb } = palette();
    if (about.classes === null) {
        return diverging(value);
    }
    if (about.classes === 2) {
        return diverging(2 * value - 1, 0.75);
    }
    const at = Math.floor(value);
    const share = 0.25 + 0.5 * (value - at);
    return rgb.middle.map((from, channel) => from + (classesRgb[at % 6][channel] - from) * share);
}

function drawView() {
    if (!view || !drawn.figures) {
        return;
    }
    const figures = [
        ["epoch", shown(view.epoch, 4)], ["step", String(view.steps)], ["training loss", shown(view.train.loss)], ["test loss", shown(view.test.loss)],
        ...(view.test.accuracy === null ? [] : [["test accuracy", `${shown(100 * view.test.accuracy, 4)} %`]]), ["rate now", shown(view.rate, 3)],
    ];
    fill(drawn.figures, figures.map(([key, value]) => make("div", {}, make("dt", {}, t(key)), make("dd", { id: `figure-${key.replaceAll(" ", "-")}` }, value))));
    drawBoundary();
    drawWeights();
    const size = UNIT * UNIT;
    for (const { element, canvas, index } of drawn.units) {
        const map = parts.units.subarray(index * size, (index + 1) * size);
        const scale = Math.max(1e-6, ...map.map(Math.abs));
        pixels(canvas, map, UNIT, UNIT, unitColour(Math.min(scale, 1.5)));
        element.setAttribute("aria-pressed", chosen === index);
        element.style.opacity = chosen === null || chosen === index ? 1 : 0.5;
    }
    drawLines();
    const { first, second } = palette();
    curves(drawn.curves, [{ points: history.train.points, colour: first }, { points: history.test.points, colour: second, dashes: [5, 4] }],
        { height: 170, log: true, label: t("step") });
    drawGradients();
}

function drawLines() {
    const { lines, layers, units, outputs } = drawn;
    const [width, height] = [layers.scrollWidth, layers.scrollHeight];
    lines.style.width = `${width}px`;
    lines.style.height = `${height}px`;
    const context = sized(lines, width, height);
    context.clearRect(0, 0, width, height);
    const { first, second } = palette();
    const box = layers.getBoundingClientRect();
    const middle = (element) => {
        const one = element.getBoundingClientRect();
        return [one.left - box.left, one.right - box.left, (one.top + one.bottom) / 2 - box.top];
    };
    const ends = [...units.map(({ element }) => middle(element)), ...outputs.map(middle)];
    let from = 0;
    for (const { start, shape: [ins, outs] } of weightMatrices()) {
        for (let a = 0; a < ins; a += 1) {
            for (let b = 0; b < outs; b += 1) {
                const weight = parts.parameters[start + a * outs + b];
                const [, left, y] = ends[from + a];
                const [right, , z] = ends[from + ins + b];
                const isChosen = chosen === null || chosen === from + ins + b || chosen === from + a;
                context.strokeStyle = weight < 0 ? first : second;
                context.globalAlpha = (isChosen ? 1 : 0.15) * Math.min(0.9, 0.12 + Math.abs(weight) * 0.45);
                context.lineWidth = Math.min(5, 0.4 + 1.6 * Math.abs(weight));
                context.beginPath();
                context.moveTo(left, y);
                context.bezierCurveTo((left + right) / 2, y, (left + right) / 2, z, right, z);
                context.stroke();
            }
        }
        from += ins;
    }
    context.globalAlpha = 1;
}

const place = (x, size) => ((x / REACH + 1) / 2) * size;

function drawBoundary() {
    const isOwn = state.values.data === "own";
    // One's own points are seen before there are enough of them to learn from.
    const isBare = view === null || about === null;
    drawn.boundary.classList.toggle("live", isBare && isOwn);
    if (isBare && !isOwn) {
        return;
    }
    const size = 300;
    const context = sized(drawn.boundary, size, size);
    if (isBare) {
        context.fillStyle = palette().middle;
        context.fillRect(0, 0, size, size);
    } else {
        const small = drawn.small ??= document.createElement("canvas");
        const shownUnit = drawn.hover ?? chosen;
        if (shownUnit !== null) {
            const map = parts.units.subarray(shownUnit * UNIT * UNIT, (shownUnit + 1) * UNIT * UNIT);
            pixels(small, map, UNIT, UNIT, unitColour(Math.min(1.5, Math.max(1e-6, ...map.map(Math.abs)))));
        } else {
            pixels(small, parts.boundary, BOUNDARY, BOUNDARY, answerColour);
        }
        context.imageSmoothingEnabled = true;
        context.drawImage(small, 0, 0, size, size);
    }
    const all = isBare ? state.values.points.flat() : points;
    const areNumbers = isBare ? state.values.values : about.classes === null;
    const { panel, text } = palette();
    for (let at = 0; at < all.length / 3; at += 1) {
        const isTest = !isBare && at >= about.training;
        if (isTest && !state.values.tests) {
            continue;
        }
        const [x, y, target] = all.slice(3 * at, 3 * at + 3);
        context.beginPath();
        context.arc(place(x, size), place(-y, size), 2.9, 0, 7);
        context.fillStyle = areNumbers ? `rgb(${diverging(target).join()})` : classColour(target);
        context.fill();
        context.strokeStyle = isTest ? text : panel;
        context.lineWidth = 0.9;
        context.stroke();
    }
    if (document.activeElement === drawn.boundary && isOwn) {
        context.strokeStyle = text;
        context.strokeRect(place(cursor[0], size) - 5, place(-cursor[1], size) - 5, 10, 10);
    }
}

function drawGradients() {
    const all = view.gradients.map(([, norm]) => Number(norm)).filter(Number.isFinite);
    const largest = Math.max(1e-12, ...all);
    fill(drawn.gradients, view.gradients.flatMap(([, norm], at) => {
        // By powers of ten, over six of them.
        const share = Number(norm) > 0 ? Math.max(0, 1 + Math.log10(norm / largest) / 6) : 0;
        return [make("span", {}, String(at + 1)), make("span", { class: "track" }, make("i", { style: `width:${100 * share}%` })), make("span", { class: "value" }, shown(norm, 2))];
    }));
}

/* Points by hand */

function addPoint(x, y) {
    if (state.values.data !== "own") {
        return;
    }
    const at = state.values.points;
    if (at.length >= MOST_POINTS) {
        say(t("too many points"), true);
        return;
    }
    const clamp = (one) => Math.max(-REACH, Math.min(REACH, one));
    state.set({ points: [...at, [clamp(x), clamp(y), pen]], values: false });
    restart();
}

function drawByHand(canvas) {
    const add = (event) => {
        const box = canvas.getBoundingClientRect();
        addPoint((2 * (event.clientX - box.left) / box.width - 1) * REACH, -(2 * (event.clientY - box.top) / box.height - 1) * REACH);
    };
    canvas.addEventListener("pointerdown", (event) => event.button === 0 && add(event));
    canvas.addEventListener("keydown", (event) => {
        const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
        if (moves[event.key] && state.values.data === "own") {
            cursor = cursor.map((one, at) => Math.max(-REACH, Math.min(REACH, one + 0.05 * moves[event.key][at])));
            event.preventDefault();
            drawBoundary();
        } else if (event.key === "Enter" || event.key === " ") {
            event.preventDefault();
            addPoint(...cursor);
        }
    });
    for (const name of ["focus", "blur"]) {
        canvas.addEventListener(name, drawBoundary);
    }
}

/** What the columns of the file were, for whoever uses the network elsewhere. */
function aboutColumns() {
    if (table === null || state.values.data !== "own") {
        return [];
    }
    const { columns: [x, y, target], ranges, classes } = table;
    const scale = (name, column, [least, largest]) => `${name} is the column \`${column}\`, scaled from [${least}, ${largest}] to [-1, 1].`;
    return [scale("x1", x, ranges[0]), scale("x2", y, ranges[1]), classes ? `The classes of \`${target}\`, from 0: ${classes.join(", ")}.` : scale("The value", target, ranges[2])];
}

async function exported(what) {
    try {
        if (what === "model") {
            const reply = await engine.ask("learner-model", { about: aboutColumns() });
            save("network.downhill", reply.bytes, "application/octet-stream");
        } else {
            const reply = await engine.ask("learner-source", { about: aboutColumns() });
            save("network.rs", reply.source, "text/x-rust");
        }
    } catch (error) {
        sayFault(error);
    }
}

page("network", (main) => {
    drawn = { hover: null };
    drawn.figures = make("dl", { class: "figures", id: "figures" });
    drawn.data = make("section", { class: "panel", "aria-label": t("data") });
    drawn.inputs = make("section", { class: "panel", "aria-label": t("inputs") });
    drawn.layerButtons = make("div", { class: "bar", style: "margin-bottom:8px" });
    drawn.net = make("div", { class: "net", tabindex: 0, role: "group", "aria-label": t("layers") });
    drawn.weights = make("div", { style: "margin-top:10px" });
    drawn.training = make("section", { class: "panel", "aria-label": t("training") });
    drawn.boundary = make("canvas", { class: "wide", id: "boundary", tabindex: 0, role: "application", "aria-label": t("about boundary") });
    drawByHand(drawn.boundary);
    drawn.curves = make("canvas", { class: "wide", role: "img", "aria-label": t("about curves") });
    drawn.gradients = make("div", { class: "bars" });
    const epoch = runner.stepper(t("one epoch"), () => about?.steps_per_epoch ?? 1, { id: "epoch-button" });
    const bar = make("section", { class: "panel", "aria-label": t("steps panel"), style: "margin-bottom:14px" },
        make("div", { class: "bar" }, runner.controls(SPEEDS, restart, epoch), make("span", { class: "grow" }), drawn.figures));
    main.append(...lead("network", [chapter("your-own-network", t("chapter.your-own-network"))]), bar,
        make("div", { class: "columns network" },
            make("div", {}, drawn.data, drawn.inputs),
            make("div", { class: "first-on-phone" }, make("section", { class: "panel", "aria-label": t("layers") }, drawn.layerButtons, drawn.net, drawn.weights, make("p", { class: "note" }, t("about units"))), drawn.training),
            make("div", { class: "side first-on-phone" },
                make("section", { class: "panel", "aria-label": t("answer") }, make("h2", {}, t("answer")), drawn.boundary),
                make("section", { class: "panel", "aria-label": t("curves") }, make("h2", {}, t("curves")), drawn.curves,
                    make("div", { class: "key" }, make("span", {}, make("i", { style: "background:var(--first)" }), t("training loss")), make("span", {}, make("i", { style: "background:repeating-linear-gradient(90deg, var(--second) 0 5px, transparent 5px 9px)" }), t("test loss"))),
                    make("h2", { style: "margin-top:14px" }, t("gradients")), drawn.gradients, make("p", { class: "note" }, t("about gradients"))),
                make("section", { class: "panel", "aria-label": t("take away") }, make("h2", {}, t("take away")),
                    make("div", { class: "bar" }, button(t("model file"), () => exported("model")), button(t("rust source"), () => exported("source"))),
                    make("p", { class: "note" }, t("about export"))))));
    if (about) {
        drawControls();
        drawNetwork();
        drawView();
    } else {
        restart();
    }
}, () => (view ? drawView() : drawBoundary()));

for (const name of ["dragover", "drop"]) {
    addEventListener(name, (event) => {
        event.preventDefault();
        const file = name === "drop" && event.dataTransfer?.files[0];
        if (file) { readFile(file); }
    });
}

// For tests, and for the curious in the console.
window.playground = { engine, state, restart, steps: (count) => runner.steps(count), readFile, request, view: () => view, about: () => about };
