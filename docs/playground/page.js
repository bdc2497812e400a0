// What all pages share: words, the state in the address, controls, the library behind a worker, and how numbers are drawn.
import { WORDS } from "./words.js";

/* Words */

const stored = (() => {
    try { return localStorage; } catch { return { getItem: () => null, setItem: () => {} }; }
})();

export const LANGUAGES = { en: "English", ko: "한국어" };
let language = "en";

/** The words of a key in the page's language, with {name} replaced. */
export function t(key, values = {}) {
    const text = WORDS[language][key] ?? WORDS.en[key] ?? key;
    return text.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

/** A word of the library, such as a setting's name: translated if it is known, or with its underscores opened. */
export const term = (name) => WORDS[language][`term.${name}`] ?? name.replaceAll("_", " ");

export const currentLanguage = () => language;

/* Elements */

/** Makes an element: `make("p", { class: "lead" }, "text", child)`. */
export function make(name, attributes = {}, ...children) {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) {
        if (key.startsWith("on")) {
            element.addEventListener(key.slice(2), value);
        } else if (key === "style") {
            element.style.cssText = value;
        } else if (key.startsWith("aria-") && typeof value === "boolean") {
            element.setAttribute(key, String(value));
        } else if (value === true) {
            element.setAttribute(key, "");
        } else if (value !== false && value !== null && value !== undefined) {
            element.setAttribute(key, value);
        }
    }
    element.append(...children.flat(9).filter((child) => child !== null && child !== undefined));
    return element;
}

/** Puts children in the place of those that an element has; null is none. */
export function fill(element, ...children) {
    element.replaceChildren(...children.flat(9).filter((child) => child !== null && child !== undefined));
}

/** A number as a person reads it. */
export function shown(number, digits = 4) {
    const value = typeof number === "string" ? Number(number.replace("inf", "Infinity")) : number;
    if (value === null || value === undefined || Number.isNaN(value)) {
        return "–";
    }
    if (!Number.isFinite(value)) {
        return value > 0 ? "∞" : "−∞";
    }
    const size = Math.abs(value);
    const text = size !== 0 && (size < 1e-4 || size >= 1e6) ? Number(value.toPrecision(3)).toExponential() : String(Number(value.toPrecision(digits)));
    return text.replace("-", "−").replace("e+", "e");
}

/* The state, which is in the address */

/** Fields of a state: each has a default, and reads from text what is valid. */
export const field = {
    oneOf: (options, initial = options[0]) => ({
        initial,
        read: (text) => (options.includes(text) ? text : undefined),
        print: String,
    }),
    number: (initial, least, largest, whole = false) => ({
        initial,
        least,
        largest,
        whole,
        read: (text) => {
            const value = text.trim() === "" ? NaN : Number(text);
            return value >= least && value <= largest && (!whole || Number.isInteger(value)) ? value : undefined;
        },
        print: (value) => String(value),
    }),
    flag: (initial) => ({
        initial,
        read: (text) => ({ yes: true, no: false })[text],
        print: (value) => (value ? "yes" : "no"),
    }),
    text: (initial, longest) => ({
        initial,
        read: (text) => (text.length <= longest ? text : undefined),
        print: String,
    }),
    /** Anything that `check` finds valid, as JSON. */
    json: (initial, check) => ({
        initial,
        read: (text) => {
            try {
                const value = JSON.parse(text);
                return check(value) ? value : undefined;
            } catch {
                return undefined;
            }
        },
        print: JSON.stringify,
    }),
};

/** An object of settings: numbers, switches, words and lists of numbers by their names. */
export function areSettings(value) {
    const isPlain = (one) => ["number", "boolean", "string"].includes(typeof one) && String(one).length < 60;
    const isOne = (one) => isPlain(one) || one === null || (Array.isArray(one) && one.length <= 20 && one.every(isPlain));
    return typeof value === "object" && value !== null && !Array.isArray(value)
        && Object.keys(value).length <= 20 && Object.values(value).every(isOne);
}

let current = null;

/** The state of a page: what differs from the defaults stands in the address. */
export class State {
    constructor(fields) {
        this.fields = fields;
        this.refused = [];
        this.values = Object.fromEntries(Object.entries(fields).map(([name, { initial }]) => [name, structuredClone(initial)]));
        this.read();
        current = this;
    }

    read() {
        let parameters;
        try {
            parameters = new URLSearchParams(location.hash.slice(1));
        } catch {
            return;
        }
        for (const [name, text] of parameters) {
            if (name === "lang") {
                continue;
            }
            const known = Object.hasOwn(this.fields, name) ? this.fields[name] : null;
            const value = known?.read(text);
            if (value === undefined) {
                this.refused.push(`${name.slice(0, 30)}=${text.slice(0, 40)}`);
            } else {
                this.values[name] = value;
            }
        }
    }

    /** Sets some values, and the address. */
    set(changes) {
        Object.assign(this.values, changes);
        const parameters = new URLSearchParams();
        for (const [name, { initial, print }] of Object.entries(this.fields)) {
            const text = print(this.values[name]);
            if (text !== print(initial)) {
                parameters.set(name, text);
            }
        }
        // Whoever opens the link may have another language.
        if (language !== spoken()) {
            parameters.set("lang", language);
        }
        const hash = parameters.toString();
        history.replaceState(null, "", hash ? `#${hash}` : location.pathname + location.search);
        linkPages();
    }
}

/** The language of the browser, if the pages have it. */
const spoken = () => {
    const asked = (navigator.language ?? "en").slice(0, 2);
    return Object.hasOwn(LANGUAGES, asked) ? asked : "en";
};

const preferred = () => {
    const saved = stored.getItem("playground.language");
    return Object.hasOwn(LANGUAGES, saved) ? saved : spoken();
};

/* The library */

class Engine {
    constructor() {
        this.waiting = new Map();
        this.count = 0;
        // `?portable` takes the build without SIMD, to try it where there is SIMD.
        this.worker = new Worker(`worker.js${location.search === "?portable" ? "?portable" : ""}`);
        this.worker.onmessage = ({ data }) => {
            const { resolve, reject } = this.waiting.get(data.id);
            this.waiting.delete(data.id);
            this.portable = data.portable;
            if (data.reply.error) {
                reject(Object.assign(new Error(data.reply.error), { ended: data.reply.ended }));
            } else {
                resolve(Object.assign(data.reply, { bytes: data.bytes }));
            }
        };
    }

    /** Asks the library; the reply has `bytes`, and `numbers` reads them. */
    ask(ask, settings = {}, bytes = undefined) {
        const id = ++this.count;
        return new Promise((resolve, reject) => {
            this.waiting.set(id, { resolve, reject });
            this.worker.postMessage({ id, request: { ask, ...settings }, bytes });
        });
    }
}

export const engine = new Engine();
export const numbers = (reply) => new Float32Array(reply.bytes.buffer, 0, reply.bytes.length >> 2);

/** Offers bytes or text as a file. */
export function save(name, content, type) {
    const address = URL.createObjectURL(new Blob([content], { type }));
    const link = make("a", { href: address, download: name });
    link.click();
    setTimeout(() => URL.revokeObjectURL(address), 10000);
}

/* Controls */

let counted = 0;

/** A control with its label. */
function labelled(label, control) {
    control.id ||= `control-${++counted}`;
    return make("div", { class: "field" }, make("label", { for: control.id }, label), control);
}

export function select(label, options, value, change) {
    const list = make("select", { onchange: () => change(list.value) },
        options.map((option) => {
            const [key, text] = Array.isArray(option) ? option : [option, option];
            return make("option", { value: key, selected: key === value }, text);
        }));
    list.value = value;
    return labelled(label, list);
}

/** A field of numbers; what lies outside the range of the field is not taken. */
export function number(label, value, { least = -Infinity, largest = Infinity, step = "any", whole = false } = {}, change) {
    const input = make("input", {
        type: "number", value, step: whole ? 1 : step, min: Number.isFinite(least) ? least : null,
        max: Number.isFinite(largest) ? largest : null, inputmode: "decimal",
        onchange: () => {
            const typed = Number(input.value);
            if (input.value.trim() !== "" && typed >= least && typed <= largest && (!whole || Number.isInteger(typed))) {
                input.removeAttribute("aria-invalid");
                change(typed);
            } else {
                input.setAttribute("aria-invalid", "true");
                say(t("out of range", { name: label, least: shown(least), largest: shown(largest) }), true);
            }
        },
    });
    return labelled(label, input);
}

/** A slider, over powers of ten if `power` is set. */
export function slider(label, value, { least, largest, step = 0.01, power = false }, change) {
    const to = (position) => (power ? Number((10 ** position).toPrecision(2)) : position);
    const from = (one) => (power ? Math.log10(one) : one);
    const told = make("output", {}, shown(value));
    const input = make("input", {
        type: "range", min: from(least), max: from(largest), step, "aria-valuetext": shown(value),
        oninput: () => {
            const now = to(Number(input.value));
            told.textContent = shown(now);
            input.setAttribute("aria-valuetext", shown(now));
            change(now);
        },
    });
    input.value = from(value);
    const whole = labelled(label, input);
    whole.firstChild.append(" ", told);
    return whole;
}

export function check(label, value, change) {
    const input = make("input", { type: "checkbox", checked: value, onchange: () => change(input.checked) });
    input.id = `control-${++counted}`;
    return make("label", { class: "field check", for: input.id }, input, make("span", {}, label));
}

export function button(label, press, attributes = {}) {
    return make("button", { type: "button", onclick: press, ...attributes }, label);
}

/** Controls for settings as the library describes them: a control for each, by the kind of its default. */
export function settingsOf(known, changed, change) {
    const entries = Array.isArray(known) ? known : Object.entries(known ?? {});
    const put = (name, value) => {
        const next = { ...changed, [name]: value };
        const initial = entries.find(([other]) => other === name)?.[1];
        if (JSON.stringify(initial) === JSON.stringify(value)) {
            delete next[name];
        }
        change(next);
    };
    return entries.flatMap(([name, initial]) => {
        const value = Object.hasOwn(changed, name) ? changed[name] : initial;
        if (typeof initial === "boolean") {
            return [check(term(name), value, (now) => put(name, now))];
        }
        if (typeof initial === "number") {
            return [number(term(name), value, {}, (now) => put(name, now))];
        }
        if (Array.isArray(initial) && initial.every((one) => typeof one === "number")) {
            const input = make("input", {
                type: "text", value: value.join(", "),
                onchange: () => put(name, input.value.split(",").map(Number).filter((one) => !Number.isNaN(one))),
            });
            return [labelled(term(name), input)];
        }
        return [];
    });
}

/* The frame of a page */

const PAGES = ["descent", "network", "chain", "digits"];
let told = null;

/** Tells the person something; screen readers say it. */
export function say(text, isFault = false) {
    told.textContent = text;
    told.classList.toggle("fault", isFault);
}

export const sayFault = (error) => say(error.ended ? t("ended", { error: error.message }) : error.message, true);

function linkPages() {
    for (const link of document.querySelectorAll("header.top a[data-page]")) {
        link.href = `${link.dataset.page}.html${language === preferred() ? "" : `#lang=${language}`}`;
    }
}

/** A chapter of the guide, in the language of the page. */
export const chapter = (name, text) => make("a", { href: `../${language === "ko" ? "ko/" : ""}${name}.html` }, text);

/** Writes the head and the foot of a page, and calls `draw` for what is between, again whenever the language changes. */
export function page(name, draw) {
    const asked = new URLSearchParams(location.hash.slice(1)).get("lang");
    language = Object.hasOwn(LANGUAGES, asked) ? asked : preferred();
    const theme = stored.getItem("playground.theme");
    if (theme === "light" || theme === "dark") {
        document.documentElement.dataset.theme = theme;
    }
    const redraw = () => {
        document.documentElement.lang = language;
        document.title = name ? `${t(`page.${name}`)} · downhill` : t("title");
        const link = (page) =>
            make("a", { "data-page": page, href: `${page}.html`, "aria-current": page === name ? "page" : null }, t(`page.${page}`));
        const main = make("main", { id: "main", tabindex: -1 });
        told = make("p", { class: "message", role: "status", "aria-live": "polite" });
        document.body.replaceChildren(
            make("a", { class: "skip", href: "#main", onclick: (event) => { event.preventDefault(); main.focus(); } }, t("skip")),
            make("header", { class: "top" },
                make("a", { class: "brand", href: "index.html" }, "downhill"),
                make("nav", { "aria-label": t("pages") }, PAGES.map(link)),
                make("div", { class: "look" },
                    Object.entries(LANGUAGES).filter(([key]) => key !== language).map(([key, text]) =>
                        button(text, () => { language = key; stored.setItem("playground.language", key); redraw(); current?.set({}); }, { class: "small", lang: key })),
                    button(t("theme"), () => {
                        const next = isDark() ? "light" : "dark";
                        document.documentElement.dataset.theme = next;
                        stored.setItem("playground.theme", next);
                        recolour();
                    }, { class: "small" }))),
            main,
            make("footer", {}, t("foot"), " ", make("a", { href: `../${language === "ko" ? "ko/" : ""}index.html` }, t("guide"))));
        draw(main, told);
        linkPages();
    };
    recolour = () => { colours = null; redraw(); };
    redraw();
}

let recolour = () => {};
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => recolour());

export const isDark = () => {
    const theme = document.documentElement.dataset.theme;
    return theme ? theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
};

export const isStill = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

/** The top of a page: its title and what it is about. */
export const lead = (name, links = []) => [
    make("h1", {}, t(`page.${name}`)),
    make("p", { class: "lead" }, t(`lead.${name}`), " ", ...links.flatMap((link) => [link, " "])),
];

/* Steps */

/** What takes steps of a page: one press of a button at a time, or some in each frame while it runs. */
export class Runner {
    isRunning = false;
    isTaking = false;
    isLooping = false;

    /** `word` is the key of what the button says, `isReady` whether there is anything to take steps of, and `take` takes them. */
    constructor(word, state, isReady, take) {
        Object.assign(this, { word, state, isReady, take });
    }

    /** The button that runs and pauses, one for a step, those in `more`, one for `restart`, and the speed. */
    controls(speeds, restart, ...more) {
        this.button = button("", () => this.set(!this.isRunning), { class: "main", id: "run" });
        this.show();
        return [
            this.button, this.stepper(t("one step"), () => 1, { id: "step" }), ...more, button(t("reset"), restart, { id: "reset" }),
            select(t("speed"), speeds.map((one) => [String(one), t("steps a frame", { n: one })]), String(this.state.values.speed), (one) => this.state.set({ speed: Number(one) })),
        ];
    }

    /** A button that pauses and takes as many steps as `count` says. */
    stepper(label, count, attributes) {
        return button(label, () => { this.set(false); this.steps(count()); }, attributes);
    }

    show() {
        this.button.textContent = this.isRunning ? t("pause") : t(this.word);
        this.button.setAttribute("aria-pressed", this.isRunning);
    }

    set(isRunning) {
        this.isRunning = isRunning && this.isReady();
        this.show();
        if (this.isRunning && !this.isLooping) {
            this.loop();
        }
    }

    async loop() {
        this.isLooping = true;
        let last = -Infinity;
        while (this.isRunning) {
            const now = performance.now();
            const { speed } = this.state.values;
            // With less motion the picture changes four times a second.
            if (!isStill() || now - last > 250) {
                last = now;
                await this.steps(isStill() ? speed * 15 : speed);
            }
            await new Promise(requestAnimationFrame);
        }
        this.isLooping = false;
    }

    /** Takes steps, unless some are being taken. */
    async steps(count) {
        if (this.isTaking || !this.isReady()) {
            return;
        }
        this.isTaking = true;
        try {
            await this.take(count);
        } catch (error) {
            this.set(false);
            sayFault(error);
        } finally {
            this.isTaking = false;
        }
    }
}

/* Drawing */

let colours = null;

/** The page's colours as they are in its scheme. */
export function palette() {
    if (colours === null) {
        const style = getComputedStyle(document.documentElement);
        const read = (name) => style.getPropertyValue(`--${name}`).trim();
        const rgb = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
        colours = { rgb: {} };
        for (const name of ["paper", "panel", "line", "text", "quiet", "accent", "first", "second", "third", "fourth", "middle", "fault"]) {
            colours[name] = read(name);
            colours.rgb[name] = rgb(colours[name].length === 4 ? colours[name].replace(/[^#]/g, "$&$&") : colours[name]);
        }
        colours.classes = ["first", "second", "third", "fourth", "accent", "fault"].map((name) => colours[name]);
        colours.classesRgb = ["first", "second", "third", "fourth", "accent", "fault"].map((name) => colours.rgb[name]);
    }
    return colours;
}

/** Prepares a canvas for a picture of this size in CSS pixels. */
export function sized(canvas, width, height) {
    const ratio = Math.min(devicePixelRatio || 1, 2);
    const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
    if (canvas.width !== w || canvas.height !== h) {
        canvas.width = w;
        canvas.height = h;
        canvas.style.aspectRatio = `${width} / ${height}`;
    }
    const context = canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    return context;
}

const mixed = (a, b, share) => a.map((from, at) => from + (b[at] - from) * share);

/** A colour from first over middle to second, for a number in [−1, 1]. */
export function diverging(value, strength = 1) {
    const { rgb } = palette();
    const share = Math.min(1, Math.abs(value)) * strength;
    return mixed(rgb.middle, value < 0 ? rgb.first : rgb.second, share);
}

/** Draws numbers row after row as pixels, each of a colour. */
export function pixels(canvas, values, columns, rows, colour, from = 0) {
    if (canvas.width !== columns || canvas.height !== rows) {
        canvas.width = columns;
        canvas.height = rows;
    }
    const context = canvas.getContext("2d");
    const image = context.createImageData(columns, rows);
    for (let at = 0; at < columns * rows; at += 1) {
        const [red, green, blue] = colour(values[from + at]);
        image.data[4 * at] = red;
        image.data[4 * at + 1] = green;
        image.data[4 * at + 2] = blue;
        image.data[4 * at + 3] = 255;
    }
    context.putImageData(image, 0, 0);
}

/** Round places for the labels of an axis. */
function places(least, largest, count) {
    const raw = (largest - least) / count;
    const power = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 5, 10].map((factor) => factor * power).find((one) => one >= raw);
    const found = [];
    for (let at = Math.ceil(least / step) * step; at <= largest + step * 1e-9; at += step) {
        found.push(Math.abs(at) < step * 1e-9 ? 0 : at);
    }
    return found;
}

/** Draws curves over steps, on a logarithmic axis if all values are above 0 and `log` is set. */
export function curves(canvas, lines, { height, log = false, label = "" }) {
    const width = canvas.clientWidth || 320;
    const context = sized(canvas, width, height);
    const colour = palette();
    context.clearRect(0, 0, width, height);
    const all = lines.flatMap(({ points }) => points.map(([, y]) => y)).filter(Number.isFinite);
    const usesLog = log && all.length > 0 && all.every((value) => value > 0);
    const of = usesLog ? Math.log10 : (value) => value;
    let [least, largest] = all.reduce(([low, high], value) => [Math.min(low, of(value)), Math.max(high, of(value))], [Infinity, -Infinity]);
    if (!(largest > least)) {
        [least, largest] = Number.isFinite(least) ? [least - 0.5, least + 0.5] : [0, 1];
    }
    const last = Math.max(1, ...lines.flatMap(({ points }) => (points.length ? [points[points.length - 1][0]] : [])));
    const [left, bottom, top] = [44, 20, 8];
    const x = (step) => left + (step / last) * (width - left - 8);
    const y = (value) => top + (1 - (of(value) - least) / (largest - least)) * (height - top - bottom);
    context.font = "11px system-ui, sans-serif";
    context.fillStyle = colour.quiet;
    context.strokeStyle = colour.line;
    context.lineWidth = 1;
    context.textAlign = "right";
    context.textBaseline = "middle";
    for (const place of places(least, largest, Math.max(2, Math.floor(height / 45)))) {
        const value = usesLog ? 10 ** place : place;
        const at = top + (1 - (place - least) / (largest - least)) * (height - top - bottom);
        context.beginPath();
        context.moveTo(left, at);
        context.lineTo(width - 8, at);
        context.stroke();
        context.fillText(shown(value, 2), left - 6, at);
    }
    context.textAlign = "center";
    context.textBaseline = "top";
    for (const place of places(0, last, 4)) {
        context.fillText(shown(place, 3), Math.min(x(place), width - 16), height - bottom + 5);
    }
    if (label) {
        context.textAlign = "right";
        context.textBaseline = "bottom";
        context.fillText(label, width - 8, top + 12);
    }
    context.lineJoin = "round";
    for (const { points, colour: stroke, dashed } of lines) {
        context.strokeStyle = stroke;
        context.lineWidth = 1.8;
        context.setLineDash(dashed ? [5, 4] : []);
        context.beginPath();
        let isDown = false;
        for (const [step, value] of points) {
            if (!Number.isFinite(value)) {
                isDown = false;
                continue;
            }
            const at = [x(step), Math.max(-1e4, Math.min(1e4, y(value)))];
            if (isDown) { context.lineTo(...at); } else { context.moveTo(...at); }
            isDown = true;
        }
        context.stroke();
    }
    context.setLineDash([]);
}

/** Thins a growing list of points: every second one goes once there are too many. */
export function thinned(points, most = 600) {
    return points.length > most ? points.filter((_, at) => at % 2 === 0 || at === points.length - 1) : points;
}
