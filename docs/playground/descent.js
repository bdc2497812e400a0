// Descent: optimizers side by side on a function of two variables, on a map, on a surface, and as curves.
import { Trail, curves, palette, shown, sized } from "./draw.js";
import {
    Runner, State, areSettings, button, chapter, engine, field, fill, isDark, lead, make, number, numbers, page, say, sayFault, select,
    settingsOf, slider, stale, t,
} from "./page.js";

/** Each function with the part of the plane that is shown, and a place to begin. */
const FUNCTIONS = {
    "bowl": { x: [-3, 3], y: [-3, 3], start: [2.2, 1.6] },
    "ravine": { x: [-4, 4], y: [-4, 4], start: [-3.4, 1.2] },
    "rosenbrock": { x: [-2, 2], y: [-1, 3], start: [-1.2, 1] },
    "himmelblau": { x: [-5, 5], y: [-5, 5], start: [-1, 4.2] },
    "saddle": { x: [-3, 3], y: [-3, 3], start: [2.4, 0.05] },
    "beale": { x: [-4.5, 4.5], y: [-4.5, 4.5], start: [-2, 2.5] },
    "three-hump-camel": { x: [-2.5, 2.5], y: [-2.5, 2.5], start: [-1.6, 1.9] },
    "rastrigin": { x: [-4, 4], y: [-4, 4], start: [2.2, 1.8] },
    "formula": { x: [-4, 4], y: [-4, 4], start: [2, 1.5] },
};
const SPEEDS = [1, 2, 5, 20];
const FIELD = 120;
const SURFACE = 56;

/** Optimizers as a list of names with their settings. */
const runsField = field.json(
    [{ name: "GradientDescent", rate: 0.001, settings: {} }, { name: "Sgd", rate: 0.001, settings: {} }, { name: "Adam", rate: 0.05, settings: {} }],
    (runs) => Array.isArray(runs) && runs.length >= 1 && runs.length <= 4 && runs.every((run) =>
        typeof run === "object" && run !== null && /^[A-Za-z]{1,30}$/.test(run.name) && typeof run.rate === "number" && run.rate > 0 && run.rate <= 1000
            && areSettings(run.settings ?? {}) && (run.schedule === undefined || (/^[A-Za-z]{1,30}$/.test(run.schedule)))
            && areSettings(run.scheduleSettings ?? {})));

const state = new State({
    function: field.oneOf(Object.keys(FUNCTIONS), "rosenbrock"),
    formula: field.text("sin(x) cos(y) + 0.1 (x^2 + y^2)", 400),
    x: field.number(-1.2, -1e6, 1e6),
    y: field.number(1, -1e6, 1e6),
    runs: runsField,
    turn: field.number(0.7, -10, 10),
    tilt: field.number(0.85, 0.1, 1.5),
    speed: field.oneOf(SPEEDS, 5),
});

let catalogue = null;
let start = null;
let values = null;
let levels = [];
let surface = null;
/** The function that `values` and `surface` are of. */
let fieldOf = null;
let paths = [];
let ended = [];
let version = 0;
let drawn = {};

const box = () => FUNCTIONS[state.values.function];
const MARKS = ["first", "second", "third", "fourth"];
const runColour = (at) => palette()[MARKS[at]];

/** Each optimizer's dashes, for whoever does not tell the colours apart. */
const DASHES = [[], [9, 4], [2, 3], [9, 3, 2, 3]];

const restart = () => runner.restart(begin);

async function begin() {
    const mine = ++version;
    const { values: set } = state;
    try {
        catalogue ??= await engine.ask("catalogue");
        const reply = await engine.ask("descent-start", {
            function: set.function,
            formula: set.formula,
            start: [set.x, set.y],
            runs: set.runs.map(({ name, rate, settings = {}, schedule = "Constant", scheduleSettings = {} }) =>
                ({ optimizer: { name, rate, settings }, schedule: [schedule, scheduleSettings] })),
        });
        const wanted = set.function === "formula" ? set.formula : set.function;
        if (wanted !== fieldOf) {
            const { x, y } = box();
            const whole = await engine.ask("descent-field", { x, y, columns: FIELD, rows: FIELD });
            const small = await engine.ask("descent-field", { x, y, columns: SURFACE, rows: SURFACE });
            if (mine !== version) {
                return;
            }
            [values, surface, fieldOf] = [numbers(whole), numbers(small), wanted];
            levels = heights(values);
        }
        if (mine !== version) {
            return;
        }
        start = reply;
        paths = set.runs.map(() => new Trail(4000));
        paths.forEach((path) => path.push([0, set.x, set.y, Number(reply.value)]));
        ended = set.runs.map(() => null);
        const hasValue = Number.isFinite(Number(reply.value));
        const refused = state.refused.length ? t("refused", { what: state.refused.join(", ") }) : "";
        say(refused || (hasValue ? "" : t("no value here")), refused !== "" || !hasValue);
        state.refused = [];
        stale(false);
        drawControls();
        drawAll();
    } catch (error) {
        if (mine === version) {
            start = null;
            stale(true);
            sayFault(error);
            drawControls();
        }
    }
}

function change(changes) {
    state.set(changes);
    restart();
}

const runner = new Runner("walk", state, () => start !== null && Number.isFinite(Number(start.value)), async (steps) => {
    const mine = version;
    const reply = await engine.ask("descent-step", { steps });
    if (mine !== version) {
        return;
    }
    reply.runs.forEach((run, at) => {
        const from = run.steps - run.path.length;
        run.path.forEach(([x, y, value], place) => paths[at].push([from + place + 1, Number(x), Number(y), Number(String(value).replace("inf", "Infinity"))]));
        ended[at] ||= run.ended;
    });
    const stories = ended.filter(Boolean).map(({ how, step, optimizer, rate, largest }) => {
        const limit = Number(largest) > 0 ? 2 / largest : null;
        // The others have bounds of their own, or none.
        const isBeyond = how === "exploded" && optimizer === "GradientDescent" && limit !== null && rate > limit;
        return t(isBeyond ? "exploded" : { exploded: "exploded plain", endless: "endless", outside: "outside" }[how], { name: optimizer, step, rate: shown(rate), limit: shown(limit) });
    });
    if (stories.length) {
        say(stories.join(" "), true);
    }
    if (ended.every(Boolean)) {
        runner.set(false);
    }
    drawAll();
});

/* What is set */

function drawControls() {
    const { values: set } = state;
    fill(drawn.settings,
        make("h2", {}, t("function")),
        make("div", { class: "fields one" },
            select(t("function"), Object.keys(FUNCTIONS).map((one) => [one, t(`function.${one}`)]), set.function, (next) => {
                const [x, y] = FUNCTIONS[next].start;
                change({ function: next, x, y });
            }),
            set.function === "formula" ? formulaInput() : null),
        make("div", { class: "fields", style: "margin-top:8px" },
            number("x", Number(set.x.toPrecision(5)), { least: -1e6, largest: 1e6 }, (x) => change({ x })),
            number("y", Number(set.y.toPrecision(5)), { least: -1e6, largest: 1e6 }, (y) => change({ y }))));
    fill(drawn.runs, make("h2", {}, t("optimizers")), set.runs.map(runControls),
        set.runs.length < 4 && catalogue ? button(t("add optimizer"), () => change({ runs: [...set.runs, { name: "AdamW", rate: 0.05, settings: {} }] })) : null,
        make("p", { class: "note" }, t("about descent")));
}

function formulaInput() {
    return make("div", { class: "field" }, make("label", { for: "formula" }, t("formula")),
        make("input", {
            type: "text", value: state.values.formula, maxlength: 400, spellcheck: "false", autocapitalize: "none", id: "formula", "aria-invalid": start === null,
            "aria-describedby": "about-formula", onchange: ({ currentTarget }) => change({ formula: currentTarget.value }),
        }),
        make("p", { class: "note", id: "about-formula" }, t("about formula")));
}

function runControls(run, at) {
    const put = (changes) => change({ runs: state.values.runs.map((one, place) => (place === at ? { ...one, ...changes } : one)) });
    if (!catalogue) {
        return null;
    }
    const known = catalogue.optimizers.find((one) => one.name === run.name);
    const schedule = run.schedule ?? "Constant";
    const limit = start?.curvature.limit;
    const isPlain = run.name === "GradientDescent";
    return make("div", { class: "run", role: "group", "aria-label": t("run of", { n: at + 1, name: run.name }), style: `--mark:var(--${MARKS[at]})` },
        make("div", { class: "bar" },
            select(t("optimizer"), catalogue.optimizers.map((one) => one.name), run.name, (name) =>
                put({ name, settings: {}, rate: catalogue.optimizers.find((one) => one.name === name).rate })),
            state.values.runs.length > 1 ? button(t("remove"), () => change({ runs: state.values.runs.filter((_, place) => place !== at) }), { class: "small", "aria-label": `${t("remove")}: ${run.name}` }) : null),
        slider(t("rate"), run.rate, { least: 1e-5, largest: 10, power: true, step: 0.02 }, (rate) => put({ rate })),
        make("p", { class: "note beyond", hidden: !(isPlain && limit && run.rate > limit) }, t("beyond", { rate: shown(run.rate), name: run.name, limit: shown(limit) })),
        button(t("use limit"), () => put({ rate: Number((1.05 * limit).toPrecision(4)) }), { class: "small", hidden: !(isPlain && limit) }),
        make("details", {}, make("summary", {}, t("settings of", { name: run.name })),
            make("div", { class: "fields" }, settingsOf(known?.settings, run.settings ?? {}, (settings) => put({ settings }))),
            make("div", { class: "fields names" },
                select(t("schedule"), catalogue.schedules.map((one) => one.name), schedule, (next) => put({ schedule: next, scheduleSettings: {} }))),
            make("div", { class: "fields" },
                settingsOf(catalogue.schedules.find((one) => one.name === schedule)?.settings, run.scheduleSettings ?? {}, (scheduleSettings) => put({ scheduleSettings })))));
}

/* What there is to see */

/** Heights of contours: of equal share of the plane between two, but a few more near the lowest. */
function heights(all) {
    const sorted = Float32Array.from(all).filter(Number.isFinite).sort();
    const count = 16;
    return Array.from({ length: count }, (_, at) => sorted[Math.floor(((at + 1) / (count + 1)) ** 1.6 * (sorted.length - 1))] ?? 0);
}

/** A share from the lowest contour to the highest, for the colours. */
function share(value) {
    let at = 0;
    while (at < levels.length && value > levels[at]) { at += 1; }
    return at / levels.length;
}

function shade(value) {
    const { rgb } = palette();
    const part = Number.isFinite(value) ? share(value) : 1;
    const low = rgb.accent.map((one, at) => one + (rgb.panel[at] - one) * 0.45);
    return low.map((one, at) => one + (rgb.middle[at] - one) * Math.sqrt(part));
}

function drawAll() {
    if (!start || paths.length !== state.values.runs.length) {
        return;
    }
    drawMap();
    drawSurface();
    const walks = paths.map((path) => path.points);
    const isNegative = walks.some((walk) => walk.some(([, , , value]) => value < 0));
    const lines = walks.map((walk, at) => ({
        // As much as the curve shows: beyond, it would be flat elsewhere.
        points: walk.map(([step, , , value]) => [step, Number.isFinite(value) && Math.abs(value) < 1e9 ? Math.max(value, isNegative ? -Infinity : 1e-16) : NaN]),
        colour: runColour(at),
        dashes: DASHES[at],
    }));
    curves(drawn.curves, lines, { height: 210, log: !isNegative, label: t("step") });
    fill(drawn.key, state.values.runs.map((run, at) => {
        const [step, , , value] = paths[at].last;
        return make("span", { class: "number" }, make("i", { style: `background:${dashed(at)}` }), `${run.name} ${shown(run.rate, 3)}: f = ${shown(value, 3)} (${step})`);
    }));
    const { curvature } = start;
    const figures = [["value", shown(start.value)], ["gradient", start.gradient.map((one) => shown(one, 3)).join(", ")], ["curvature", shown(curvature.largest)], ["limit", curvature.limit === null ? t("no limit") : shown(curvature.limit)]];
    fill(drawn.figures, figures.map(([key, text]) => make("div", {}, make("dt", {}, t(key)), make("dd", { id: `figure-${key}` }, text))));
}

/** The dashes of an optimizer as a background. */
function dashed(at) {
    const [colour, dashes] = [`var(--${MARKS[at]})`, DASHES[at]];
    let to = 0;
    const stops = dashes.map((length, place) => `${place % 2 ? "transparent" : colour} ${to}px ${to += length}px`);
    return stops.length ? `repeating-linear-gradient(90deg, ${stops.join(", ")})` : colour;
}

/** The part of a line that lies within a square around the map, or null; what is far outside would be drawn wrong. */
function clipped([x1, y1], [x2, y2], least, largest) {
    let [from, to] = [0, 1];
    for (const [start, way] of [[x1, x2 - x1], [y1, y2 - y1]]) {
        if (way === 0) {
            if (start < least || start > largest) { return null; }
            continue;
        }
        const [a, b] = [(least - start) / way, (largest - start) / way];
        from = Math.max(from, Math.min(a, b));
        to = Math.min(to, Math.max(a, b));
    }
    const at = (share) => [x1 + share * (x2 - x1), y1 + share * (y2 - y1)];
    return from <= to ? [at(from), at(to)] : null;
}

/** The place of a point on the map, in a canvas of this size. */
function onMap([x, y], size) {
    const { x: [left, right], y: [low, high] } = box();
    return [((x - left) / (right - left)) * size, (1 - (y - low) / (high - low)) * size];
}

/** The part of the map that does not change with the paths. */
function fieldPicture(size) {
    const seen = `${fieldOf} ${size} ${isDark()}`;
    if (drawn.field?.seen === seen) {
        return drawn.field.canvas;
    }
    const canvas = document.createElement("canvas");
    const fine = size * 2;
    canvas.width = canvas.height = fine;
    const context = canvas.getContext("2d");
    const image = context.createImageData(fine, fine);
    const bands = new Float32Array(fine);
    const edge = palette().rgb.accent;
    // Between the numbers of the field: what lies between four of them.
    const at = (x, y) => values[Math.max(0, Math.min(FIELD - 1, y)) * FIELD + Math.max(0, Math.min(FIELD - 1, x))];
    for (let row = 0; row < fine; row += 1) {
        const y = ((row + 0.5) / fine) * FIELD - 0.5;
        const top = Math.floor(y);
        for (let column = 0; column < fine; column += 1) {
            const x = ((column + 0.5) / fine) * FIELD - 0.5;
            const left = Math.floor(x);
            const [a, b] = [x - left, y - top];
            const value = (at(left, top) * (1 - a) + at(left + 1, top) * a) * (1 - b) + (at(left, top + 1) * (1 - a) + at(left + 1, top + 1) * a) * b;
            const band = share(value);
            // A contour lies where a pixel is of another band than the one beside it or above it.
            const isEdge = (column > 0 && band !== bands[column - 1]) || (row > 0 && band !== bands[column]);
            bands[column] = band;
            const [red, green, blue] = shade(value).map((one, channel) => (isEdge ? one * 0.72 + edge[channel] * 0.28 : one));
            image.data.set([red, green, blue, 255], 4 * (row * fine + column));
        }
    }
    context.putImageData(image, 0, 0);
    drawn.field = { seen, canvas };
    return canvas;
}

function drawMap() {
    const size = drawn.map.clientWidth || 520;
    const context = sized(drawn.map, size, size);
    context.imageSmoothingEnabled = true;
    context.drawImage(fieldPicture(size), 0, 0, size, size);
    const { quiet, text, panel } = palette();
    context.font = "11px system-ui, sans-serif";
    context.fillStyle = quiet;
    const { x, y } = box();
    context.textAlign = "left";
    context.textBaseline = "bottom";
    context.fillText(`x ${shown(x[0])} … ${shown(x[1])}`, 6, size - 5);
    context.textBaseline = "top";
    context.fillText(`y ${shown(y[0])} … ${shown(y[1])}`, 6, 6);
    paths.forEach((path, at) => {
        const places = path.points.map(([, px, py]) => onMap([px, py], size)).filter((place) => place.every(Number.isFinite));
        context.strokeStyle = runColour(at);
        context.fillStyle = runColour(at);
        context.lineWidth = 1.8;
        context.lineJoin = "round";
        context.setLineDash(DASHES[at]);
        context.beginPath();
        let last = null;
        for (let to = 1; to < places.length; to += 1) {
            const line = clipped(places[to - 1], places[to], -size, 2 * size);
            if (line) {
                if (!last || last[0] !== line[0][0] || last[1] !== line[0][1]) { context.moveTo(...line[0]); }
                context.lineTo(...line[1]);
                last = line[1];
            }
        }
        context.stroke();
        context.setLineDash([]);
        if (places.length < 150) {
            for (const place of places) {
                context.beginPath();
                context.arc(...place, 2.2, 0, 7);
                context.fill();
            }
        }
        const stands = places.at(-1);
        if (stands) {
            context.beginPath();
            context.arc(...stands, 5.5, 0, 7);
            context.fill();
            context.strokeStyle = panel;
            context.stroke();
        }
    });
    context.strokeStyle = text;
    context.lineWidth = 1.6;
    const [sx, sy] = onMap([state.values.x, state.values.y], size);
    context.beginPath();
    context.arc(sx, sy, 8, 0, 7);
    context.moveTo(sx - 12, sy);
    context.lineTo(sx + 12, sy);
    context.moveTo(sx, sy - 12);
    context.lineTo(sx, sy + 12);
    context.stroke();
}

function drawSurface() {
    const [width, height] = [420, 330];
    const { turn, tilt } = state.values;
    const [cos, sin, up, flat] = [Math.cos(turn), Math.sin(turn), Math.cos(tilt), Math.sin(tilt)];
    // A power of the height, by which half of the plane lies below a third: a wall would hide the valley beside it.
    const sorted = Float32Array.from(surface).filter(Number.isFinite).sort();
    const [least, middle, most] = [sorted[0], sorted[sorted.length >> 1], sorted.at(-1)];
    const power = Math.max(0.25, Math.min(1, Math.log(0.35) / Math.log(Math.max(1e-9, Math.min(0.999, (middle - least) / (most - least || 1))))));
    const high = (value) => (most > least ? Math.max(0, Math.min(1, (value - least) / (most - least))) ** power : 0.5);
    const put = (u, v, h) => {
        const [a, b] = [u * cos - v * sin, u * sin + v * cos];
        return [width / 2 + a * 142, height / 2 + 18 + b * 142 * flat * 0.62 - (h - 0.5) * 190 * up, b];
    };
    const context = sized(drawn.surface, width, height);
    context.clearRect(0, 0, width, height);
    const seen = `${turn} ${tilt} ${fieldOf} ${isDark()}`;
    if (drawn.seen !== seen) {
        drawn.seen = seen;
        drawn.bare ??= document.createElement("canvas");
        drawPatches(sized(drawn.bare, width, height), put, high);
    }
    context.drawImage(drawn.bare, 0, 0, width, height);
    const { x: [left, right], y: [low, highest] } = box();
    paths.forEach((path, at) => {
        context.strokeStyle = runColour(at);
        context.fillStyle = runColour(at);
        context.lineWidth = 2;
        context.beginPath();
        let isDown = false;
        let last = null;
        context.setLineDash(DASHES[at]);
        for (const [, px, py, value] of path.points) {
            const [u, v] = [(2 * (px - left)) / (right - left) - 1, 1 - (2 * (py - low)) / (highest - low)];
            if (Math.abs(u) > 1 || Math.abs(v) > 1 || !Number.isFinite(value)) {
                isDown = false;
                continue;
            }
            const [cx, cy] = put(u, v, high(value) + 0.012);
            if (isDown) { context.lineTo(cx, cy); } else { context.moveTo(cx, cy); }
            isDown = true;
            last = [cx, cy];
        }
        context.stroke();
        context.setLineDash([]);
        // Only where it stands: a walk that has left what is shown has no dot.
        if (last && isDown) {
            context.beginPath();
            context.arc(...last, 4.5, 0, 7);
            context.fill();
        }
    });
}

/** The surface without paths: patches from the farthest to the nearest. */
function drawPatches(context, put, high) {
    context.clearRect(0, 0, context.canvas.width, context.canvas.height);
    const along = (at) => (2 * (at + 0.5)) / SURFACE - 1;
    const corners = [];
    for (let row = 0; row < SURFACE; row += 1) {
        for (let column = 0; column < SURFACE; column += 1) {
            corners.push(put(along(column), along(row), high(surface[row * SURFACE + column])));
        }
    }
    const patches = [];
    for (let row = 0; row < SURFACE - 1; row += 1) {
        for (let column = 0; column < SURFACE - 1; column += 1) {
            const at = row * SURFACE + column;
            const four = [at, at + 1, at + SURFACE + 1, at + SURFACE];
            patches.push([four.reduce((sum, one) => sum + corners[one][2], 0), four]);
        }
    }
    patches.sort(([a], [b]) => a - b);
    const line = palette().line;
    for (const [, four] of patches) {
        context.beginPath();
        four.forEach((one) => context.lineTo(corners[one][0], corners[one][1]));
        context.closePath();
        const colour = `rgb(${shade(surface[four[0]]).map(Math.round).join()})`;
        context.fillStyle = colour;
        context.strokeStyle = line;
        context.lineWidth = 0.5;
        context.fill();
        context.stroke();
    }
}

function choosing(canvas) {
    // A click, not the first touch: a finger that scrolls the page chooses nothing.
    canvas.addEventListener("click", (event) => {
        const rect = canvas.getBoundingClientRect();
        const { x: [left, right], y: [low, high] } = box();
        const x = left + ((event.clientX - rect.left) / rect.width) * (right - left);
        const y = high - ((event.clientY - rect.top) / rect.height) * (high - low);
        change({ x: Number(x.toPrecision(5)), y: Number(y.toPrecision(5)) });
    });
    canvas.addEventListener("keydown", (event) => {
        const move = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
        if (move) {
            event.preventDefault();
            const { x: [left, right], y: [low, high] } = box();
            change({ x: Number((state.values.x + move[0] * (right - left) / 60).toPrecision(5)), y: Number((state.values.y + move[1] * (high - low) / 60).toPrecision(5)) });
        }
    });
}

function turning(canvas) {
    const turned = (byTurn, byTilt) => {
        state.set({ turn: Number(((state.values.turn + byTurn) % (2 * Math.PI)).toFixed(3)), tilt: Number(Math.max(0.1, Math.min(1.5, state.values.tilt + byTilt)).toFixed(3)) });
        if (start) { drawSurface(); }
    };
    let from = null;
    canvas.addEventListener("pointerdown", (event) => { from = [event.clientX, event.clientY]; canvas.setPointerCapture(event.pointerId); });
    canvas.addEventListener("pointermove", (event) => {
        if (from) {
            turned((from[0] - event.clientX) / 150, (from[1] - event.clientY) / -200);
            from = [event.clientX, event.clientY];
        }
    });
    canvas.addEventListener("pointerup", () => { from = null; });
    canvas.addEventListener("keydown", (event) => {
        const move = { ArrowLeft: [0.12, 0], ArrowRight: [-0.12, 0], ArrowUp: [0, -0.06], ArrowDown: [0, 0.06] }[event.key];
        if (move) {
            event.preventDefault();
            turned(...move);
        }
    });
}

page("descent", (main) => {
    drawn = {};
    drawn.settings = make("section", { class: "panel", "aria-label": t("function") });
    drawn.runs = make("section", { class: "panel", "aria-label": t("optimizers") });
    drawn.map = make("canvas", { class: "wide", id: "map", tabindex: 0, role: "application", "aria-label": t("about map"), style: "cursor:crosshair" });
    drawn.surface = make("canvas", { class: "wide", id: "surface", tabindex: 0, role: "application", "aria-label": t("about surface"), style: "cursor:grab;touch-action:pan-y" });
    drawn.curves = make("canvas", { class: "wide", role: "img", "aria-label": t("about values") });
    drawn.key = make("div", { class: "key" });
    drawn.figures = make("dl", { class: "figures" });
    choosing(drawn.map);
    turning(drawn.surface);
    main.append(...lead("descent", [chapter("walking-downhill", t("chapter.walking-downhill"))]),
        make("section", { class: "panel", "aria-label": t("walk"), style: "margin-bottom:14px" },
            make("div", { class: "bar" }, runner.controls(SPEEDS, restart), make("span", { class: "grow" }),
                make("div", {}, make("h2", { style: "margin:0" }, t("at the start")), drawn.figures))),
        make("div", { class: "columns descent" },
            make("div", {}, drawn.settings, drawn.runs),
            make("div", { class: "first-on-phone" },
                make("div", { class: "maps" },
                    make("section", { class: "panel", "aria-label": t("map") }, make("h2", {}, t("map")), drawn.map, make("p", { class: "note" }, t("about start"))),
                    make("section", { class: "panel", "aria-label": t("surface"), style: "margin-top:0" }, make("h2", {}, t("surface")), drawn.surface, make("p", { class: "note" }, t("about surface")))),
                make("section", { class: "panel", "aria-label": t("values"), style: "margin-top:14px" }, make("h2", {}, t("values")), drawn.curves, drawn.key))));
    if (start) {
        drawControls();
        drawAll();
    } else {
        restart();
    }
}, drawAll);

window.playground = { engine, state, restart, steps: (count) => runner.steps(count), start: () => start, paths: () => paths.map((path) => path.points), ended: () => ended };
