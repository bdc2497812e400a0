// How numbers are drawn: as text, as colours, pixels and curves.

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
    return text.replaceAll("-", "−").replace("e+", "e");
}

/** The names of the colours of classes. */
export const CLASSES = ["first", "second", "third", "fourth", "accent", "fault"];

let colours = null;

/** The colours are read anew, since the page has others. */
export function forgetColours() {
    colours = null;
}

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
        colours.classes = CLASSES.map((name) => colours[name]);
        colours.classesRgb = CLASSES.map((name) => colours.rgb[name]);
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

/** A number beside an axis, with as many digits as tell it from the next. */
function axisNumber(place, all) {
    const gap = all.length > 1 ? Math.abs(all[1] - all[0]) : 1;
    return shown(place, Math.max(2, 1 + Math.ceil(Math.log10(Math.max(...all.map(Math.abs)) / gap + 1e-9) + 1e-9)));
}

/** Draws curves over steps, on a logarithmic axis if `log` is set and no value is below 0; a 0 is drawn on its floor. */
export function curves(canvas, lines, { height, log = false, label = "" }) {
    const width = canvas.clientWidth || 320;
    const context = sized(canvas, width, height);
    const colour = palette();
    context.clearRect(0, 0, width, height);
    const all = lines.flatMap(({ points }) => points.map(([, y]) => y)).filter(Number.isFinite);
    const above = all.filter((value) => value > 0);
    const usesLog = log && above.length > 0 && all.every((value) => value >= 0);
    const floor = usesLog ? Math.min(...above) : 0;
    const of = usesLog ? (value) => Math.log10(Math.max(value, floor)) : (value) => value;
    let [least, largest] = all.reduce(([low, high], value) => [Math.min(low, of(value)), Math.max(high, of(value))], [Infinity, -Infinity]);
    if (!(largest > least)) {
        [least, largest] = Number.isFinite(least) ? [least - 0.5, least + 0.5] : [0, 1];
    }
    const last = Math.max(1, ...lines.flatMap(({ points }) => (points.length ? [points[points.length - 1][0]] : [])));
    context.font = "11px system-ui, sans-serif";
    const rows = places(least, largest, Math.max(2, Math.floor(height / 45))).map((place, _, all) => [place, usesLog ? shown(10 ** place, 2) : axisNumber(place, all)]);
    // As wide as the longest number beside it.
    const left = Math.max(30, ...rows.map(([, text]) => context.measureText(text).width + 10));
    const [bottom, top] = [20, 8];
    const x = (step) => left + (step / last) * (width - left - 8);
    const y = (value) => top + (1 - (of(value) - least) / (largest - least)) * (height - top - bottom);
    context.fillStyle = colour.quiet;
    context.strokeStyle = colour.line;
    context.lineWidth = 1;
    context.textAlign = "right";
    context.textBaseline = "middle";
    for (const [place, text] of rows) {
        const at = top + (1 - (place - least) / (largest - least)) * (height - top - bottom);
        context.beginPath();
        context.moveTo(left, at);
        context.lineTo(width - 8, at);
        context.stroke();
        context.fillText(text, left - 6, at);
    }
    context.textAlign = "center";
    context.textBaseline = "top";
    for (const place of places(0, last, 4)) {
        context.fillText(shown(place, 3), Math.min(x(place), width - 16), height - bottom + 5);
    }
    context.textBaseline = "bottom";
    if (label) {
        context.textAlign = "right";
        context.fillText(label, width - 8, top + 12);
    }
    if (usesLog) {
        context.textAlign = "left";
        context.fillText("log", left + 4, height - bottom - 3);
    }
    context.lineJoin = "round";
    for (const { points, colour: stroke, dashes = [] } of lines) {
        context.strokeStyle = stroke;
        context.lineWidth = 1.8;
        context.setLineDash(dashes);
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

/**
 * Points of a growing curve, evenly over its steps. Once there are too many, one of three stays: one of two would leave a
 * single side of a zigzag.
 */
export class Trail {
    stride = 1;
    count = 0;
    kept = [];
    last = null;

    constructor(most = 2000) {
        this.most = most;
    }

    push(point) {
        this.last = point;
        if (this.count % this.stride === 0) {
            this.kept.push(point);
            if (this.kept.length > this.most) {
                this.stride *= 3;
                this.kept = this.kept.filter((_, at) => at % 3 === 0);
            }
        }
        this.count += 1;
    }

    /** The points that are kept, and the last. */
    get points() {
        return this.kept.at(-1) === this.last ? this.kept : [...this.kept, this.last];
    }
}
