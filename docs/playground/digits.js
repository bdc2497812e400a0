// Digits: a convolutional network reads what is drawn, shows what each layer sees, and learns from it.
import { palette, pixels } from "./draw.js";
import { State, button, chapter, engine, field, fill, lead, make, numbers, page, save, say, sayFault, t } from "./page.js";

const SIDE = 64;

/** The drawing as its pixels, black or white, in the address: runs of equal pixels. */
const inkField = {
    initial: "",
    read: (text) => (/^[0-9a-z.]{0,1500}$/.test(text) && (text === "" || unpacked(text)) ? text : undefined),
    print: String,
};

function unpacked(text) {
    const runs = text.split(".").map((one) => parseInt(one, 36));
    if (runs.some((run) => !(run >= 0)) || runs.reduce((sum, run) => sum + run, 0) > SIDE * SIDE) {
        return null;
    }
    const ink = new Uint8Array(SIDE * SIDE);
    let at = 0;
    runs.forEach((run, index) => {
        ink.fill(index % 2 ? 255 : 0, at, at + run);
        at += run;
    });
    return ink;
}

function packed(ink) {
    const runs = [];
    let [isInk, run] = [false, 0];
    for (const pixel of ink) {
        if ((pixel >= 96) === isInk) {
            run += 1;
        } else {
            runs.push(run);
            [isInk, run] = [!isInk, 1];
        }
    }
    if (isInk) { runs.push(run); }
    return runs.map((one) => one.toString(36)).join(".");
}

const state = new State({ ink: inkField, label: field.number(-1, -1, 9, true) });

let ink = state.values.ink ? unpacked(state.values.ink) : new Uint8Array(SIDE * SIDE);
/** The model as it was before it learnt anything here. */
let file = null;
let about = null;
let read = null;
let maps = [];
let test = null;
let isBusy = false;
let isWaiting = false;
let pen = { x: 32, y: 12, isDown: false };
let drawn = {};

async function open() {
    try {
        if (file === null) {
            const answer = await fetch("digits.safetensors");
            if (!answer.ok) { throw new Error(t("unloaded", { error: `digits.safetensors (${answer.status})` })); }
            file = await answer.arrayBuffer();
        }
        about = await engine.ask("digits-open", {}, new Uint8Array(file));
        test = await engine.ask("digits-test");
        say(state.refused.length ? t("refused", { what: state.refused.join(", ") }) : "", state.refused.length > 0);
        state.refused = [];
        drawTeach();
        await look();
    } catch (error) {
        sayFault(error);
    }
}

/** Asks what the network reads; while one answer is awaited, what is drawn meanwhile is read once after it. */
async function look() {
    if (isBusy) {
        isWaiting = true;
        return;
    }
    isBusy = true;
    try {
        read = await engine.ask("digits-read", {}, ink);
        maps = numbers(read);
    } catch (error) {
        sayFault(error);
    } finally {
        isBusy = false;
    }
    drawReading();
    if (isWaiting) {
        isWaiting = false;
        await look();
    }
}

async function learn() {
    if (!about || read?.empty !== undefined || !read) {
        say(t("draw first"), true);
        return;
    }
    if (state.values.label < 0) {
        say(t("choose first"), true);
        return;
    }
    const learning = document.querySelector("#learn");
    learning.disabled = true;
    try {
        const reply = await engine.ask("digits-learn", { label: state.values.label, steps: 30 }, ink);
        test = await engine.ask("digits-test");
        say(t("learnt", { steps: reply.steps, drawn: reply.drawn, right: test.right }));
        await look();
        drawTeach();
    } catch (error) {
        sayFault(error);
    } finally {
        learning.disabled = false;
        learning.focus({ preventScroll: true });
    }
}

/* Drawing by hand */

function stamp(x, y, radius = 4.8) {
    for (let row = Math.floor(y - radius); row <= y + radius; row += 1) {
        for (let column = Math.floor(x - radius); column <= x + radius; column += 1) {
            if (row >= 0 && column >= 0 && row < SIDE && column < SIDE && Math.hypot(column + 0.5 - x, row + 0.5 - y) <= radius) {
                ink[row * SIDE + column] = 255;
            }
        }
    }
}

function stroke(from, to) {
    const steps = Math.ceil(Math.hypot(to.x - from.x, to.y - from.y)) + 1;
    for (let at = 0; at <= steps; at += 1) {
        stamp(from.x + ((to.x - from.x) * at) / steps, from.y + ((to.y - from.y) * at) / steps);
    }
}

function drawPad() {
    const { rgb } = palette();
    pixels(drawn.pad, ink, SIDE, SIDE, (value) => (value ? rgb.text : rgb.paper));
    if (document.activeElement === drawn.pad) {
        const context = drawn.pad.getContext("2d");
        context.strokeStyle = palette().accent;
        context.strokeRect(Math.round(pen.x) - 2.5, Math.round(pen.y) - 2.5, 5, 5);
    }
}

function changed() {
    drawPad();
    say("");
    state.set({ ink: packed(ink) });
    if (about) { look(); }
}

function clear() {
    ink = new Uint8Array(SIDE * SIDE);
    changed();
}

function drawing(canvas) {
    let last = null;
    const place = (event) => {
        const box = canvas.getBoundingClientRect();
        return { x: ((event.clientX - box.left) / box.width) * SIDE, y: ((event.clientY - box.top) / box.height) * SIDE };
    };
    canvas.addEventListener("pointerdown", (event) => {
        if (event.button === 0) {
            event.preventDefault();
            canvas.setPointerCapture(event.pointerId);
            last = place(event);
            stamp(last.x, last.y);
            changed();
        }
    });
    canvas.addEventListener("pointermove", (event) => {
        if (last) {
            for (const one of event.getCoalescedEvents?.() ?? [event]) {
                const next = place(one);
                stroke(last, next);
                last = next;
            }
            changed();
        }
    });
    for (const end of ["pointerup", "pointercancel"]) {
        canvas.addEventListener(end, () => { last = null; });
    }
    canvas.addEventListener("keydown", (event) => {
        const by = { ArrowLeft: [-2, 0], ArrowRight: [2, 0], ArrowUp: [0, -2], ArrowDown: [0, 2] }[event.key];
        if (by) {
            event.preventDefault();
            const next = { x: Math.max(0, Math.min(SIDE, pen.x + by[0])), y: Math.max(0, Math.min(SIDE, pen.y + by[1])) };
            if (pen.isDown) {
                stroke(pen, next);
                Object.assign(pen, next);
                changed();
            } else {
                Object.assign(pen, next);
                drawPad();
            }
        } else if (event.key === " " || event.key === "Enter") {
            event.preventDefault();
            pen.isDown = !pen.isDown;
            if (pen.isDown) {
                stamp(pen.x, pen.y);
                changed();
            }
        }
    });
    for (const name of ["focus", "blur"]) {
        canvas.addEventListener(name, () => { pen.isDown = false; drawPad(); });
    }
}

/* What there is to see */

function drawReading() {
    const probabilities = (read?.probabilities ?? []).map(Number);
    const best = probabilities.length ? probabilities.indexOf(Math.max(...probabilities)) : -1;
    fill(drawn.reads, Array.from({ length: 10 }, (_, digit) => {
        const share = probabilities[digit] ?? 0;
        const is = digit === best ? " best" : "";
        return [make("span", { class: `digit${is}` }, String(digit)), make("span", { class: "track" }, make("i", { style: `width:${100 * share}%` })), make("span", { class: `value${is}` }, probabilities.length ? `${(100 * share).toFixed(1)} %` : "–")];
    }));
    drawn.answer.textContent = best < 0 ? "–" : String(best);
    const { rgb } = palette();
    const parts = [];
    let at = 0;
    for (const [name, shape] of read?.maps ?? []) {
        const [channels, height, width] = shape.length === 3 ? shape : [1, 1, shape[0]];
        const size = channels * height * width;
        const layer = about.layers.find((one) => one.name === name)?.layer;
        const numbersOf = maps.subarray(at, at + size);
        at += size;
        // What only cuts, flattens or drops shows nothing new.
        if (shape.length !== 3 || layer === "Dropout") {
            continue;
        }
        const most = Math.max(1e-6, ...numbersOf.map(Math.abs));
        const zoom = Math.max(4, Math.round((channels === 1 ? 96 : 44) / width));
        const colour = (value) => (value < 0 ? rgb.middle.map((one, channel) => one + (rgb.first[channel] - one) * Math.min(1, -value / most)) : rgb.middle.map((one, channel) => one + (rgb.second[channel] - one) * Math.min(1, value / most)));
        const canvases = Array.from({ length: channels }, (_, channel) => {
            const canvas = make("canvas", { class: "pixels", "aria-hidden": "true", style: `width:${zoom * width}px;height:${zoom * height}px` });
            pixels(canvas, numbersOf, width, height, colour, channel * height * width);
            return canvas;
        });
        parts.push(make("div", { class: "layer-maps" }, make("h2", {}, name === "" ? t("layer.seen") : `${layer} · ${channels} × ${height} × ${width}`), make("div", { class: "maps-of" }, canvases)));
    }
    fill(drawn.maps, parts.length ? parts : make("p", { class: "quiet" }, t("draw first")));
}

function drawTeach() {
    const pick = Array.from({ length: 10 }, (_, digit) =>
        button(String(digit), () => { state.set({ label: digit }); drawTeach(); }, { class: "small", "aria-pressed": state.values.label === digit, "aria-label": `${t("this is")} ${digit}` }));
    fill(drawn.teach, make("h2", {}, t("teach")), make("p", { class: "quiet" }, t("this is")),
        make("div", { class: "chips", role: "group", "aria-label": t("this is") }, pick),
        make("div", { class: "bar", style: "margin-top:10px" }, button(t("learn"), learn, { class: "main", id: "learn" }), button(t("forget"), open),
            button(t("download model"), async () => {
                try {
                    const reply = await engine.ask("digits-model");
                    save("digits.downhill", reply.bytes, "application/octet-stream");
                } catch (error) {
                    sayFault(error);
                }
            })),
        make("p", { class: "note" }, t("about teach")),
        test ? make("p", { class: "note", id: "test" }, t("test it", { right: test.right })) : null);
}

page("digits", (main) => {
    drawn = {};
    drawn.pad = make("canvas", { class: "pad pixels", id: "pad", width: SIDE, height: SIDE, tabindex: 0, role: "application", "aria-label": t("about pad") });
    drawing(drawn.pad);
    drawn.reads = make("div", { class: "bars" });
    drawn.answer = make("strong", { id: "answer", style: "font-size:40px;line-height:1", "aria-live": "polite" });
    drawn.maps = make("div", {});
    drawn.teach = make("section", { class: "panel", "aria-label": t("teach") });
    main.append(...lead("digits", [chapter("layers-for-structure", t("chapter.layers-for-structure"))]),
        make("div", { class: "columns digits" },
            make("div", {},
                make("section", { class: "panel", "aria-label": t("draw here") }, make("h2", {}, t("draw here")), drawn.pad,
                    make("div", { class: "bar", style: "margin-top:10px" }, button(t("clear"), clear, { id: "clear" })), make("p", { class: "note" }, t("about pad"))),
                make("section", { class: "panel", "aria-label": t("reads") }, make("div", { class: "bar" }, make("h2", { style: "margin:0" }, t("reads")), make("span", { class: "grow" }), drawn.answer), drawn.reads)),
            make("div", {},
                make("section", { class: "panel", "aria-label": t("layer maps") }, make("h2", {}, t("layer maps")), make("p", { class: "note", style: "margin:0 0 12px" }, t("about maps")), drawn.maps),
                drawn.teach)));
    drawPad();
    drawTeach();
    if (about) { drawReading(); } else { open(); }
}, () => { drawPad(); drawReading(); });

window.playground = { engine, state, open, learn, stroke, changed, clear, read: () => read, test: () => test };
