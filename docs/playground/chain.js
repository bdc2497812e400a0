// The chain rule: a small network as a graph of its numbers, each with the equation that made it.
import { shown } from "./draw.js";
import {
    State, button, chapter, engine, field, fill, isStill, lead, make, number, page, say, sayFault, select, slider, stale, t,
} from "./page.js";

const numbersField = (initial, least, most) => field.json(initial, (list) =>
    Array.isArray(list) && list.length >= least && list.length <= most && list.every((one) => typeof one === "number" && Math.abs(one) <= 1e6));
const name = (initial) => ({ initial, read: (text) => (/^[A-Za-z0-9]{1,30}$/.test(text) ? text : undefined), print: String });

const state = new State({
    inputs: numbersField([0.5, -1], 1, 5),
    targets: numbersField([1], 1, 5),
    hidden: field.number(1, 0, 3, true),
    units: field.number(2, 1, 5, true),
    activation: name("Tanh"),
    outputs: field.number(1, 1, 5, true),
    outputActivation: name("Sigmoid"),
    loss: name("MeanSquaredError"),
    rate: field.number(0.5, 1e-6, 100),
    seed: field.number(3, 0, 1e9, true),
    weights: field.json(null, (list) => list === null || (Array.isArray(list) && list.length <= 200 && list.every((one) => typeof one === "number" && Math.abs(one) <= 1e6))),
    at: field.number(-1, -1, 10000, true),
});

let catalogue = null;
let reply = null;
let origin = null;
let isPlaying = false;
let version = 0;
let drawn = {};

const isClass = () => catalogue?.class_losses.some((one) => one.name === state.values.loss) ?? false;
/** The address of a number as text, whatever the order of its fields. */
const key = (address) => (typeof address === "object" && address !== null
    ? `{${Object.keys(address).sort().map((name) => `${name}:${key(address[name])}`).join()}}` : String(address));
const same = (a, b) => key(a) === key(b);

function request() {
    const { values } = state;
    const hidden = Array.from({ length: values.hidden }, () => ({ units: values.units, activation: { name: values.activation } }));
    const targets = isClass() ? [Math.min(values.outputs - 1, Math.max(0, Math.round(values.targets[0])))] : Array.from({ length: values.outputs }, (_, at) => values.targets[at] ?? 0);
    return {
        inputs: values.inputs, targets, layers: [...hidden, { units: values.outputs, activation: { name: values.outputActivation } }],
        loss: { name: values.loss }, rate: values.rate, seed: values.seed, parameters: values.weights,
    };
}

async function restart() {
    const mine = ++version;
    try {
        catalogue ??= await engine.ask("catalogue");
        keepKnown();
        const next = await engine.ask("chain-start", request());
        if (mine !== version) {
            return;
        }
        reply = next;
        if (state.values.at >= reply.numbers.length) {
            state.refused.push(`at=${state.values.at}`);
            state.set({ at: -1 });
        }
        say(state.refused.length ? t("refused", { what: state.refused.join(", ") }) : "", state.refused.length > 0);
        state.refused = [];
        stale(false);
        drawControls();
        await choose(state.values.at);
    } catch (error) {
        if (mine === version) {
            reply = null;
            stopPlaying();
            stale(true);
            sayFault(error);
            drawControls();
        }
    }
}

/** Puts defaults in the place of names in the address that the library does not have. */
function keepKnown() {
    const lists = { activation: catalogue.activations, outputActivation: catalogue.activations, loss: [...catalogue.value_losses, ...catalogue.class_losses] };
    for (const [field, list] of Object.entries(lists)) {
        const name = state.values[field];
        if (!list.some((one) => one.name === name)) {
            state.refused.push(`${field}=${name}`);
            state.set({ [field]: state.fields[field].initial });
        }
    }
}

function change(changes) {
    state.set(changes);
    restart();
}

/** Another network has other weights. */
const rebuild = (changes) => change({ ...changes, weights: null, at: -1 });

/** Shows how the number at this place of the list came about. */
async function choose(at) {
    if (!reply) {
        return;
    }
    const mine = version;
    state.set({ at });
    origin = at < 0 ? null : await engine.ask("chain-origin", { number: reply.numbers[at] });
    if (mine === version) {
        drawGraph();
        drawOrigin();
    }
}

/** The number in the graph to which one that is not drawn belongs: a part of a derivative, or what a weight becomes. */
function holder(number) {
    if (number.product) {
        return { gradient: { node: reply.explanation.steps[number.product.step].inputs[0], index: number.product.index } };
    }
    if (number.parameter_product) {
        const { parameter, index } = number.parameter_product;
        return { parameter_gradient: { parameter, index } };
    }
    return number.updated ? { parameter: number.updated } : number;
}

const placeOf = (address) => (reply?.numbers ?? []).findIndex((one) => same(one, address));

/* What is set */

function drawControls() {
    if (!catalogue) {
        return;
    }
    const { values } = state;
    // The graph has no place for a weight of an activation's own.
    const activations = catalogue.activations.map((one) => one.name).filter((one) => one !== "PRelu");
    const list = (key, count, label, put) => Array.from({ length: count }, (_, at) =>
        number(t(label, { n: at + 1 }), values[key][at] ?? 0, { least: -1e6, largest: 1e6 }, (value) =>
            put({ [key]: Array.from({ length: count }, (_, other) => (other === at ? value : values[key][other] ?? 0)) })));
    const several = (count) => Array.from({ length: count }, (_, at) => String(at + 1));
    fill(drawn.settings,
        make("h2", {}, t("example")),
        make("div", { class: "fields" },
            list("inputs", values.inputs.length, "input n", change),
            isClass() ? number(t("target class"), Math.round(values.targets[0]), { least: 0, largest: values.outputs - 1, whole: true }, (value) => change({ targets: [value] })) : list("targets", values.outputs, "target n", change)),
        make("div", { class: "bar", style: "margin-top:8px" },
            button(`− ${t("input")}`, () => rebuild({ inputs: values.inputs.slice(0, -1) }), { class: "small", disabled: values.inputs.length === 1 }),
            button(`+ ${t("input")}`, () => rebuild({ inputs: [...values.inputs, 1] }), { class: "small", disabled: values.inputs.length === 5 })),
        make("h2", { style: "margin-top:14px" }, t("layers")),
        make("div", { class: "fields" },
            select(t("hidden layers"), ["0", ...several(3)], String(values.hidden), (value) => rebuild({ hidden: Number(value) })),
            select(t("hidden units"), several(5), String(values.units), (value) => rebuild({ units: Number(value) })),
            select(t("output units"), several(5), String(values.outputs), (value) =>
                rebuild({ outputs: Number(value), ...(isClass() ? { targets: [Math.min(values.targets[0], Number(value) - 1)] } : {}) })),
            number(t("seed"), values.seed, { least: 0, largest: 1e9, whole: true }, (seed) => rebuild({ seed })),
            slider(t("rate"), values.rate, { least: 1e-3, largest: 10, power: true, step: 0.05 }, (rate) => change({ rate }))),
        make("div", { class: "fields names" },
            select(t("activation"), activations, values.activation, (activation) => rebuild({ activation })),
            select(t("output activation"), activations, values.outputActivation, (outputActivation) => rebuild({ outputActivation })),
            select(t("loss"), [...catalogue.value_losses, ...catalogue.class_losses].map((one) => one.name), values.loss, (loss) => {
                const ofClasses = catalogue.class_losses.some((one) => one.name === loss);
                // Scores of classes need two outputs, and are given as they are.
                rebuild(ofClasses ? { loss, outputs: Math.max(2, values.outputs), outputActivation: "Identity", targets: [0] } : { loss });
            })),
        make("div", { class: "bar", style: "margin-top:10px" },
            button(t("take a step"), takeStep, { id: "take-step" }),
            button(t("back to seed"), () => change({ weights: null }), { disabled: values.weights === null })));
}

/** θ becomes what the update has made of it. */
function takeStep() {
    if (!reply) {
        return;
    }
    const weights = reply.explanation.parameters.flatMap(({ updated }) => updated.numbers);
    if (weights.every((weight) => Math.abs(weight) < 1e6)) {
        change({ weights });
    } else {
        say(t("step explodes"), true);
    }
}

/* The graph */

const SUBSCRIPTS = "₀₁₂₃₄₅₆₇₈₉";
const sub = (...indices) => indices.map((index) => [...String(index)].map((digit) => SUBSCRIPTS[digit]).join("")).join("");
const SVG = "http://www.w3.org/2000/svg";
const svg = (name, attributes, ...children) => {
    const element = document.createElementNS(SVG, name);
    Object.entries(attributes).forEach(([key, value]) => element.setAttribute(key, value));
    element.append(...children);
    return element;
};

const [WIDE, ROW, GAP, COLUMN, LINE] = [98, 24, 9, 134, 15];

/** A name of the library's, such as MeanSquaredError, in lines that fit a column. */
function lines(name) {
    return name.match(/[A-Z]?[^A-Z]+|[A-Z]+/g).reduce((all, word) => {
        const [above, line] = [all.slice(0, -1), all.at(-1)];
        return line.length + word.length > 14 ? [...above, line, word] : [...above, line + word];
    }, [""]);
}

/** The columns of the graph: boxes with rows, each row a number. */
function columns() {
    const { nodes, steps, parameters, loss } = reply.explanation;
    const found = [];
    const valueBox = (node, symbol, slopeOf = null) => nodes[node].values.numbers.map((value, index) => ({
        id: `n${node}.${index}`,
        rows: [
            { symbol: `${symbol}${sub(index + 1)}`, address: { value: { node, index } }, value },
            ...(slopeOf === null ? [] : [{ symbol: "φ′", address: { slope: { step: slopeOf, index } }, value: steps[slopeOf].local.elementwise.slope.numbers[index], isBackward: true }]),
            { symbol: "dJ", address: { gradient: { node, index } }, value: nodes[node].gradient.numbers[index], isBackward: true },
        ],
    }));
    const edges = [];
    found.push({ title: t("input"), boxes: valueBox(0, "x") });
    steps.forEach((step, at) => {
        const [from] = step.inputs;
        const outs = nodes[step.output].values.numbers.length;
        if (step.layer === "Affine") {
            const boxes = [];
            const [weight, bias] = step.parameters;
            const ins = nodes[from].values.numbers.length;
            const box = (parameter, index, symbol) => ({
                id: `p${parameter}.${index}`,
                rows: [
                    { symbol, address: { parameter: { parameter, index } }, value: parameters[parameter].values.numbers[index] },
                    { symbol: "dJ", address: { parameter_gradient: { parameter, index } }, value: parameters[parameter].gradient.numbers[index], isBackward: true },
                ],
            });
            for (let out = 0; out < outs; out += 1) {
                for (let into = 0; into < ins; into += 1) {
                    const one = box(weight, into * outs + out, `w${sub(out + 1, into + 1)}`);
                    boxes.push(one);
                    edges.push([`n${from}.${into}`, one.id], [one.id, `n${step.output}.${out}`]);
                }
                if (bias !== undefined) {
                    const one = box(bias, out, `b${sub(out + 1)}`);
                    boxes.push({ ...one, isLast: out < outs - 1 });
                    edges.push([one.id, `n${step.output}.${out}`]);
                }
            }
            found.push({ title: t("weights"), boxes });
            found.push({ title: "Affine", boxes: valueBox(step.output, "y") });
        } else {
            const isEach = step.local.elementwise !== undefined;
            found.push({ title: step.layer, boxes: valueBox(step.output, "y", isEach ? at : null) });
            for (let out = 0; out < outs; out += 1) {
                for (let into = 0; into < nodes[from].values.numbers.length; into += 1) {
                    if (!isEach || into === out) {
                        edges.push([`n${from}.${into}`, `n${step.output}.${out}`]);
                    }
                }
            }
        }
    });
    found.push({ title: loss.name, boxes: [{ id: "loss", rows: [{ symbol: "J", address: "loss", value: loss.value }] }] });
    nodes[loss.node].values.numbers.forEach((_, index) => edges.push([`n${loss.node}.${index}`, "loss"]));
    return { found, edges };
}

function drawGraph() {
    const { found, edges } = columns();
    const tall = (boxes) => boxes.reduce((sum, { rows, isLast }) => sum + rows.length * ROW + GAP + (isLast ? 12 : 0), -GAP);
    const head = 15 + LINE * Math.max(...found.map(({ title }) => lines(title).length));
    const height = Math.max(...found.map(({ boxes }) => tall(boxes))) + head + 16;
    const width = found.length * COLUMN - (COLUMN - WIDE) + 12;
    const picture = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": t("about graph") });
    picture.style.cssText = `width:${width}px`;
    const places = new Map();
    const used = new Set((origin?.used ?? []).map(key));
    const elements = [];
    found.forEach(({ title, boxes }, at) => {
        const x = 6 + at * COLUMN;
        lines(title).reverse().forEach((line, above) => {
            const label = svg("text", { class: "title", x: x + WIDE / 2, y: head - 13 - LINE * above, "text-anchor": "middle" });
            label.textContent = line;
            elements.push(label);
        });
        let y = head + (height - head - 16 - tall(boxes)) / 2;
        for (const { id, rows, isLast } of boxes) {
            places.set(id, { x, y: y + (rows.length * ROW) / 2 });
            for (const { symbol, address, value, isBackward } of rows) {
                const isChosen = origin !== null && same(holder(origin.number), address);
                const isUsed = used.has(key(address));
                const group = svg("g", {
                    class: `node${isUsed ? " used" : ""}`, role: "button", tabindex: "0", "aria-pressed": String(isChosen),
                    // It begins with what is written there.
                    "aria-label": `${symbol} ${shown(value, 3)}, ${symbol === rows[0].symbol ? title : `${rows[0].symbol}, ${title}`}`, "data-number": key(address),
                });
                const name = svg("text", { class: "symbol", x: x + 6, y: y + 16 });
                name.textContent = symbol;
                const text = svg("text", { class: `value${isBackward ? " backward" : ""}`, x: x + WIDE - 6, y: y + 16.5, "text-anchor": "end" });
                text.textContent = shown(value, 3);
                group.append(svg("rect", { x, y, width: WIDE, height: ROW, rx: 4 }), name, " ", text);
                const press = () => choose(placeOf(address)).catch(sayFault);
                group.addEventListener("click", press);
                group.addEventListener("keydown", (event) => {
                    if (event.key === "Enter" || event.key === " ") {
                        event.preventDefault();
                        press();
                    }
                });
                elements.push(group);
                y += ROW;
            }
            y += GAP + (isLast ? 12 : 0);
        }
    });
    for (const [from, to] of edges) {
        const [a, b] = [places.get(from), places.get(to)];
        const [x1, x2] = [a.x + WIDE, b.x];
        const line = svg("path", { d: `M${x1} ${a.y}C${(x1 + x2) / 2} ${a.y} ${(x1 + x2) / 2} ${b.y} ${x2} ${b.y}` });
        picture.append(line);
    }
    picture.append(...elements);
    // The focus stays on the number that was pressed, and the place to which the graph was moved.
    const focused = drawn.graph.contains(document.activeElement) ? document.activeElement.dataset.number : null;
    const moved = drawn.graph.scrollLeft;
    drawn.graph.replaceChildren(picture);
    drawn.graph.scrollLeft = moved;
    const find = (number) => [...picture.querySelectorAll(".node")].find((one) => one.dataset.number === number);
    if (focused) {
        find(focused)?.focus({ preventScroll: true });
    }
    const chosen = origin && find(key(holder(origin.number)))?.getBoundingClientRect();
    const room = drawn.graph.getBoundingClientRect();
    if (chosen && (chosen.left < room.left || chosen.right > room.right)) {
        drawn.graph.scrollLeft += (chosen.left + chosen.right - room.left - room.right) / 2;
    }
    drawn.loss.textContent = shown(reply.explanation.loss.value, 6);
}

/* How a number came about */

const phase = (address) => {
    const kind = typeof address === "string" ? address : Object.keys(address)[0];
    if (kind === "updated" || kind === "learning_rate") { return t("update"); }
    return t(["value", "parameter", "target", "loss"].includes(kind) ? "forward" : "backward");
};

function drawOrigin() {
    const places = walk();
    const at = places.findIndex((place) => place >= state.values.at);
    const count = places.length;
    drawn.steps.forEach((one) => { one.disabled = false; });
    if (origin === null) {
        fill(drawn.origin, make("p", { class: "quiet" }, t("press a number")));
        return;
    }
    const from = origin.step === null ? "" : ` · ${t("layer n", { n: origin.step + 1, layer: reply.explanation.steps[origin.step].layer })}`;
    const parameter = origin.number.parameter;
    const { difference } = origin;
    const gap = difference === null ? 0 : Math.abs(difference - Number(origin.value));
    const isSlope = origin.number.slope !== undefined;
    const source = typeof origin.source === "string" ? (origin.source === "given" ? t("given") : "") : t("made by", { name: Object.values(origin.source)[0] });
    fill(drawn.origin,
        make("p", { class: "quiet" }, t("number of", { at: at + 1, count, phase: phase(origin.number) }) + from),
        make("div", { class: "equation", id: "equation" }, origin.symbols
            ? [make("div", {}, `${origin.symbol} = ${origin.symbols}`), make("div", {}, make("span", { class: "eq" }, "= "), origin.numbers), make("div", {}, make("span", { class: "eq" }, "= "), shown(origin.value, 6))]
            : make("div", {}, `${origin.symbol} = ${shown(origin.value, 6)}`)),
        origin.step === null ? null : make("p", { class: "note" }, t("about names")),
        source ? make("p", { class: "note" }, source) : null,
        parameter ? number(t("change it"), Number(Number(origin.value).toPrecision(6)), { least: -1e6, largest: 1e6 }, (value) => {
            const weights = [...reply.parameters];
            let start = 0;
            reply.explanation.parameters.slice(0, parameter.parameter).forEach(({ values }) => { start += values.numbers.length; });
            weights[start + parameter.index] = value;
            change({ weights });
        }) : null,
        difference === null ? null : make("table", {},
            make("tbody", {},
                make("tr", {}, make("th", { scope: "row" }, t("exact")), make("td", { id: "exact" }, shown(origin.value, 9))),
                make("tr", {}, make("th", { scope: "row" }, t("finite difference")), make("td", { id: "difference" }, shown(difference, 9))),
                make("tr", {}, make("th", { scope: "row" }, t("differ")), make("td", {}, shown(gap, 2))))),
        difference === null ? null : make("p", { class: "note" }, t(gap > 1e-4 * Math.max(1, Math.abs(difference)) ? "dead" : isSlope ? "about slope" : "about difference")));
}

/** The places of the numbers that are stepped through: a derivative that is a single product is shown once, not as both. */
function walk() {
    const { steps, nodes } = reply.explanation;
    const hasParts = ({ step }) => steps[step].local.elementwise === undefined && nodes[steps[step].output].values.numbers.length > 1;
    const isOwn = ({ product, parameter_product }) => !parameter_product && (!product || hasParts(product));
    return reply.numbers.flatMap((number, at) => (isOwn(number) ? [at] : []));
}

function move(by) {
    if (reply) {
        const places = walk();
        const from = by > 0 ? places.findLastIndex((place) => place <= state.values.at) : places.findIndex((place) => place >= state.values.at);
        const at = state.values.at < 0 ? (by > 0 ? 0 : -1) : from + by;
        choose(places[(at + places.length) % places.length]).catch(sayFault);
    }
}

let timer = 0;

function play() {
    if (isPlaying) {
        stopPlaying();
        return;
    }
    isPlaying = reply !== null;
    showPlaying();
    const next = () => {
        move(1);
        timer = setTimeout(next, isStill() ? 2500 : 1100);
    };
    if (isPlaying) { next(); }
}

function stopPlaying() {
    isPlaying = false;
    clearTimeout(timer);
    showPlaying();
}

function showPlaying() {
    drawn.play.textContent = isPlaying ? t("pause") : t("play");
    // An equation a second is too much to listen to.
    drawn.origin.setAttribute("aria-live", isPlaying ? "off" : "polite");
}

page("chain", (main) => {
    drawn = {};
    drawn.graph = make("div", { class: "graph", tabindex: 0, role: "group", "aria-label": t("graph") });
    drawn.settings = make("section", { class: "panel", "aria-label": t("example") });
    drawn.origin = make("div", { "aria-live": "polite", style: "min-height:210px" });
    drawn.loss = make("dd", { id: "loss" });
    drawn.play = button(isPlaying ? t("pause") : t("play"), play, { class: "main" });
    drawn.steps = [button(t("previous"), () => move(-1), { id: "previous" }), button(t("next"), () => move(1), { id: "next" })];
    main.append(...lead("chain", [chapter("chain-rule", t("chapter.chain-rule"))]),
        make("section", { class: "panel", "aria-label": t("graph") },
            make("div", { class: "bar", style: "margin-bottom:6px" }, make("h2", { style: "margin:0" }, t("graph")), make("span", { class: "grow" }),
                make("dl", { class: "figures" }, make("div", {}, make("dt", {}, t("loss now")), drawn.loss))),
            drawn.graph, make("p", { class: "note" }, t("about graph"))),
        make("div", { class: "columns chain", style: "margin-top:14px" },
            make("section", { class: "panel", "aria-label": t("how") },
                make("h2", {}, t("how")), make("div", { class: "bar", style: "margin-bottom:10px" }, drawn.steps[0], drawn.steps[1], drawn.play), drawn.origin),
            drawn.settings));
    if (reply) {
        drawControls();
        drawGraph();
        drawOrigin();
    } else {
        restart();
    }
});

window.playground = { engine, state, restart, request, choose, reply: () => reply, origin: () => origin };
