// What all pages share: words, the state in the address, controls, the library behind a worker, and how numbers are drawn.
import { forgetColours, shown } from "./draw.js";

/* Words */

const stored = (() => {
    try { return localStorage; } catch { return { getItem: () => null, setItem: () => {} }; }
})();

export const LANGUAGES = { en: "English", ko: "한국어" };
let language = asked() ?? preferred();
let { WORDS, SENTENCES } = await words(language);

/** The words of a language, which only a page in it loads. */
function words(language) {
    return import(`./words-${language}.js`);
}

/** The language that the address asks for, if it does. */
function asked() {
    const named = new URLSearchParams(location.hash.slice(1)).get("lang");
    return Object.hasOwn(LANGUAGES, named) ? named : null;
}

/** The language of the browser, if the pages have it. */
function spoken() {
    const first = (navigator.language ?? "en").slice(0, 2);
    return Object.hasOwn(LANGUAGES, first) ? first : "en";
}

/** The language that was chosen here before, or the browser's. */
function preferred() {
    const saved = stored.getItem("playground.language");
    return Object.hasOwn(LANGUAGES, saved) ? saved : spoken();
}

/** The words of a key in the page's language, with {name} replaced. */
export function t(key, values = {}) {
    return filled(WORDS[key] ?? key, values);
}

const filled = (text, values) => text.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);

/** A word of the library, such as a setting's name: translated if it is known, or with its underscores opened. */
export const term = (name) => WORDS[`term.${name}`] ?? name.replaceAll("_", " ");

/** What an error says, in the page's language if it has the sentence; the library's own words are English. */
export function sentence({ error, sentence: known, values = {} }) {
    if (language === "en") {
        return error;
    }
    const text = SENTENCES[known];
    return text ? filled(text, values) : t("library says", { error });
}

/* Elements */

/** Makes an element: `make("p", { class: "lead" }, "text", child)`. */
export function make(name, attributes = {}, ...children) {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) {
        if (key.startsWith("on")) {
            listen(element, key.slice(2), value);
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

/** Has an element call what its handlers say at the time of an event. */
function listen(element, type, handler) {
    element.handlers ??= {};
    if (!Object.hasOwn(element.handlers, type)) {
        element.addEventListener(type, (event) => element.handlers[type]?.(event));
    }
    element.handlers[type] = handler;
}

/** Gives an element these children; null is none. What is alike stays, with its focus, a drag, and what is being typed. */
export function fill(element, ...children) {
    const fresh = children.flat(9).filter((child) => child !== null && child !== undefined);
    const old = [...element.childNodes];
    fresh.forEach((next, at) => {
        const node = next instanceof Node ? next : document.createTextNode(next);
        if (!old[at]) {
            element.append(node);
        } else if (old[at] !== node) {
            renew(old[at], node);
        }
    });
    old.slice(fresh.length).forEach((one) => one.remove());
}

/** Makes a node what another is, or puts the other in its place if it is of another kind. */
function renew(old, next) {
    // What a page keeps to draw on is named by the page, not by its place.
    if (old.nodeName !== next.nodeName || old.nodeName === "CANVAS" || old.type !== next.type) {
        old.replaceWith(next);
        return;
    }
    if (old.nodeType === Node.TEXT_NODE) {
        if (old.data !== next.data) { old.data = next.data; }
        return;
    }
    const names = new Set([...old.getAttributeNames(), ...next.getAttributeNames()]);
    // What a person has opened stays open.
    if (old.nodeName === "DETAILS") { names.delete("open"); }
    for (const name of names) {
        const value = next.getAttribute(name);
        if (value === null) {
            old.removeAttribute(name);
        } else if (name === "style") {
            // The page's policy lets only scripts style an element.
            old.style.cssText = next.style.cssText;
        } else if (old.getAttribute(name) !== value) {
            old.setAttribute(name, value);
        }
    }
    for (const type of Object.keys({ ...old.handlers, ...next.handlers })) {
        listen(old, type, next.handlers?.[type]);
    }
    fill(old, [...next.childNodes]);
    if (old.nodeName === "INPUT" && old.type === "checkbox") {
        old.checked = next.checked;
    } else if (old.nodeName === "SELECT" || (old.nodeName === "INPUT" && old !== document.activeElement && old.type !== "file")) {
        old.value = next.value;
    }
}

/* The state, which is in the address */

/** Fields of a state: each has a default, and reads from text what is valid. */
export const field = {
    oneOf: (options, initial = options[0]) => ({
        initial,
        read: (text) => options.find((one) => String(one) === text),
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

/* The library */

class Engine {
    constructor() {
        this.waiting = new Map();
        this.count = 0;
        const portable = new URLSearchParams(location.search).has("portable");
        try {
            // `?portable` takes the build without SIMD, to try it where there is SIMD.
            this.worker = new Worker(`worker.js${portable ? "?portable" : ""}`);
        } catch (error) {
            this.fault = error.message;
            return;
        }
        this.worker.onmessage = ({ data }) => this.answered(data);
        this.worker.onerror = this.worker.onmessageerror = (event) => {
            event.preventDefault?.();
            this.fault = event.message || "worker.js";
            [...this.waiting.keys()].forEach((id) => this.answered({ id, reply: this.refusal() }));
        };
    }

    refusal() {
        return { error: this.fault, unloaded: true };
    }

    answered({ id, reply, bytes, portable }) {
        const { resolve, reject } = this.waiting.get(id);
        this.waiting.delete(id);
        this.portable = portable;
        this.hasAnswered = true;
        if (reply.unloaded || reply.ended) {
            reject(new Error(t(reply.ended ? "ended" : "unloaded", { error: reply.error })));
        } else if (reply.error) {
            reject(new Error(sentence(reply)));
        } else {
            resolve(Object.assign(reply, { bytes }));
        }
    }

    /** Asks the library; the reply has `bytes`, and `numbers` reads them. */
    ask(ask, settings = {}, bytes = undefined) {
        const id = ++this.count;
        return new Promise((resolve, reject) => {
            this.waiting.set(id, { resolve, reject });
            if (this.fault) {
                this.answered({ id, reply: this.refusal() });
            } else {
                this.worker.postMessage({ id, request: { ask, ...settings }, bytes });
            }
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
    const list = make("select", { onchange: ({ currentTarget }) => change(currentTarget.value) },
        options.map((option) => {
            const [key, text] = Array.isArray(option) ? option : [option, option];
            return make("option", { value: key, selected: key === value }, text);
        }));
    list.value = value;
    return labelled(label, list);
}

/** A field of numbers; what lies outside the range of the field is not taken. */
export function number(label, value, { least = -Infinity, largest = Infinity, step = "any", whole = false } = {}, change) {
    return labelled(label, make("input", {
        type: "number", value, step: whole ? 1 : step, min: Number.isFinite(least) ? least : null,
        max: Number.isFinite(largest) ? largest : null, inputmode: "decimal",
        onchange: ({ currentTarget: input }) => {
            const typed = input.value.trim() === "" ? NaN : Number(input.value);
            const isValid = typed >= least && typed <= largest && (!whole || Number.isInteger(typed));
            input.toggleAttribute("aria-invalid", false);
            if (isValid) {
                change(typed);
            } else {
                input.setAttribute("aria-invalid", "true");
                const bounds = { name: label, least: plain(least), largest: plain(largest) };
                say(t(Number.isFinite(largest - least) ? (whole ? "out of whole range" : "out of range") : "no number", bounds), true);
            }
        },
    }));
}

const plain = (bound) => String(bound).replace("-", "−");

/** A slider, over powers of ten if `power` is set; then its number can be typed as well. */
export function slider(label, value, { least, largest, step = 0.01, power = false }, change) {
    const to = (position) => (power ? Number((10 ** position).toPrecision(3)) : position);
    const from = (one) => (power ? Math.log10(one) : one);
    const take = (field, now) => {
        field.querySelector("[type=range]").setAttribute("aria-valuetext", shown(now));
        change(now);
    };
    const input = make("input", {
        type: "range", min: from(least), max: from(largest), step: power ? "any" : step, "aria-valuetext": shown(value),
        oninput: ({ currentTarget }) => {
            const [now, field] = [to(Number(currentTarget.value)), currentTarget.closest(".field")];
            const told = field.querySelector("output, [type=number]");
            if (power) { told.value = now; } else { told.textContent = shown(now); }
            take(field, now);
        },
        ...(power ? { onkeydown: (event) => byKey(event, step) } : {}),
    });
    input.value = from(value);
    const whole = labelled(label, input);
    if (power) {
        const typed = number(label, value, { least, largest }, change).lastChild;
        typed.setAttribute("aria-label", label);
        typed.classList.add("typed");
        return make("div", { class: "field slide" }, ...whole.childNodes, typed);
    }
    whole.firstChild.append(" ", make("output", {}, shown(value)));
    return whole;
}

/** Moves a slider that has no steps of its own. */
function byKey(event, step) {
    const by = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -10, PageUp: 10 }[event.key];
    if (by) {
        event.preventDefault();
        event.currentTarget.value = Number(event.currentTarget.value) + by * step;
        event.currentTarget.dispatchEvent(new Event("input"));
    }
}

export function check(label, value, change) {
    const input = make("input", { type: "checkbox", checked: value, onchange: ({ currentTarget }) => change(currentTarget.checked) });
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
        const kind = (one) => (Array.isArray(one) ? "list" : typeof one);
        const value = Object.hasOwn(changed, name) && kind(changed[name]) === kind(initial) ? changed[name] : initial;
        if (typeof initial === "boolean") {
            return [check(term(name), value, (now) => put(name, now))];
        }
        if (name === "nesterov") {
            return [check(term(name), value !== 0, (now) => put(name, Number(now)))];
        }
        if (typeof initial === "number") {
            return [number(term(name), value, {}, (now) => put(name, now))];
        }
        if (Array.isArray(initial) && initial.every((one) => typeof one === "number")) {
            const input = make("input", {
                type: "text", value: value.join(", "),
                onchange: ({ currentTarget }) => put(name, currentTarget.value.split(",").map(Number).filter((one) => !Number.isNaN(one))),
            });
            return [labelled(term(name), input)];
        }
        return [];
    });
}

/* The frame of a page */

const PAGES = ["descent", "network", "chain", "digits"];
let told = null;

/** Tells the person something; screen readers say it. A press on it, or Escape, puts it away. */
export function say(text, isFault = false) {
    if (told.textContent !== text) { told.textContent = text; }
    told.classList.toggle("fault", isFault);
}

addEventListener("keydown", (event) => event.key === "Escape" && say(""));

export const sayFault = (error) => say(error.message, true);

/** Shows that what is drawn is not of what is set, since that was refused. */
export const stale = (isStale) => document.querySelector("main").classList.toggle("stale", isStale);

function linkPages() {
    for (const link of document.querySelectorAll("header.top a[data-page]")) {
        link.href = `${link.dataset.page}.html${language === preferred() ? "" : `#lang=${language}`}`;
    }
}

/** A chapter of the guide, in the language of the page. */
export const chapter = (name, text) => make("a", { href: `../${language === "ko" ? "ko/" : ""}${name}.html` }, text);

/**
 * Writes the head and the foot of a page, and calls `draw` for what is between, again whenever the language changes.
 * `picture` draws what depends on the width and the colours.
 */
export function page(name, draw, picture = () => {}) {
    const theme = stored.getItem("playground.theme");
    if (theme === "light" || theme === "dark") {
        document.documentElement.dataset.theme = theme;
    }
    const recolour = () => { forgetColours(); picture(); };
    const redraw = () => {
        document.documentElement.lang = language;
        document.title = name ? `${t(`page.${name}`)} · downhill` : t("title");
        const link = (page) =>
            make("a", { "data-page": page, href: `${page}.html`, "aria-current": page === name ? "page" : null }, t(`page.${page}`));
        const main = make("main", { id: "main", tabindex: -1 });
        told = make("p", { class: "message", role: "status", "aria-live": "polite", onclick: () => say("") });
        const speak = async (key) => {
            ({ WORDS, SENTENCES } = await words(key));
            language = key;
            stored.setItem("playground.language", key);
            redraw();
            current?.set({});
            document.querySelector(".look button").focus();
        };
        document.body.replaceChildren(
            make("a", { class: "skip", href: "#main", onclick: (event) => { event.preventDefault(); main.focus(); } }, t("skip")),
            make("header", { class: "top" },
                make("a", { class: "brand", href: "index.html" }, "downhill"),
                make("nav", { "aria-label": t("pages") }, PAGES.map(link)),
                make("div", { class: "look" },
                    Object.entries(LANGUAGES).filter(([key]) => key !== language).map(([key, text]) => button(text, () => speak(key), { class: "small", lang: key })),
                    button(t("theme"), () => {
                        const next = isDark() ? "light" : "dark";
                        document.documentElement.dataset.theme = next;
                        stored.setItem("playground.theme", next);
                        recolour();
                    }, { class: "small" }))),
            main,
            make("footer", {}, t("foot"), " ", make("a", { href: `../${language === "ko" ? "ko/" : ""}index.html` }, t("guide"))));
        document.body.append(told);
        draw(main);
        linkPages();
    };
    redraw();
    setTimeout(() => {
        if (engine.waiting.size > 0 && !engine.hasAnswered) { say(t("loading")); }
    }, 500);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", recolour);
    let width = innerWidth;
    addEventListener("resize", () => {
        if (innerWidth !== width) {
            width = innerWidth;
            picture();
        }
    });
    // A link that is pasted into the page's own address is another state.
    addEventListener("hashchange", () => location.reload());
}

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
    /** Steps that were asked for while others were being taken. */
    later = 0;

    /** The promise of what the page begins anew. */
    beginning = Promise.resolve();

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
    }

    /** Pauses, and drops what was asked for, since the page begins anew; steps wait for the promise of that. */
    restart(begin) {
        this.later = 0;
        this.set(false);
        return (this.beginning = begin());
    }

    set(isRunning) {
        this.isRunning = isRunning;
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
                await this.steps(isStill() ? speed * 15 : speed, true);
            }
            await new Promise(requestAnimationFrame);
        }
        this.isLooping = false;
    }

    /** Takes steps, after those that are being taken; a frame has its own only if none are. */
    async steps(count, isFrame = false) {
        if (this.isTaking) {
            this.later += isFrame ? 0 : count;
            return;
        }
        this.isTaking = true;
        try {
            await this.beginning;
            if (this.isReady()) {
                await this.take(count);
            } else {
                this.set(false);
            }
        } catch (error) {
            this.set(false);
            sayFault(error);
        } finally {
            this.isTaking = false;
        }
        if (this.later > 0 && !this.isRunning) {
            const later = this.later;
            this.later = 0;
            await this.steps(later);
        }
    }
}
