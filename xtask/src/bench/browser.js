// The browser's side of `cargo xtask bench --wasm`: `node browser.js TASK WORKLOAD THREADS` answers as
// `benches/peers/common.py` tells.
//
// TASK is a file with { playwright, chromium, workloads, plain, isolated, tensorflow } as JSON. A page of the playground
// asks the module in its worker, as it does when it trains, and TensorFlow.js in a worker beside it.
"use strict";
const { readFileSync } = require("fs");
const { createInterface } = require("readline");

const [file, id, given] = process.argv.slice(2);
const threads = Number(given);
const task = JSON.parse(readFileSync(file, "utf8"));
const { chromium } = require(task.playwright);

const workload = JSON.parse(readFileSync(task.workloads, "utf8"))
    .flatMap((one) => (one.batches ?? []).map((batch) => ({ ...one, batch })))
    .find(({ suite, name, batch }) => `${suite}/${name}, batch ${batch}` === id);

// A rate that hardly moves, for timing: a batch learnt by heart has a vanishing gradient, and that is slow to work with.
const STILL = 1e-9;
const COMPARED = 5;
const [INPUT, TARGET] = [1000, 1001];

/** The tensor of a key, uniform in [0, 1), by the generator that all sides share. */
function fill(key, count) {
    const word = (number) => BigInt.asUintN(64, number);
    return Float32Array.from({ length: count }, (_, index) => {
        let z = word((BigInt(key) << 40n) + BigInt(index) + 0x9e3779b97f4a7c15n);
        z = word((z ^ (z >> 30n)) * 0xbf58476d1ce4e5b9n);
        z = word((z ^ (z >> 27n)) * 0x94d049bb133111ebn);
        return Number((z ^ (z >> 31n)) >> 40n) / 2 ** 24;
    });
}

/** Parameters in PyTorch's order and shapes, then the inputs, then the targets. */
function numbers() {
    const { widths, batch, loss } = workload;
    const [inputs, outputs] = [widths[0], widths.at(-1)];
    const parameters = widths.slice(1).flatMap((units, at) => [fill(2 * at, units * widths[at]), fill(2 * at + 1, units)]);
    const targets = loss === "cross-entropy"
        ? fill(TARGET, batch).map((number) => Math.floor(number * outputs)) : fill(TARGET, batch * outputs);
    const parts = [...parameters.map((part) => part.map((number) => (2 * number - 1) / 16)), fill(INPUT, batch * inputs), targets];
    return Buffer.concat(parts.map((part) => Buffer.from(part.buffer)));
}

/** What the module is asked for. */
const settings = {
    widths: workload.widths,
    activation: { name: { tanh: "Tanh", relu: "Relu" }[workload.activation] },
    loss: { name: { "cross-entropy": "SoftmaxCrossEntropy", "mean-squared-error": "MeanSquaredError" }[workload.loss] },
    optimizer: { name: { descent: "GradientDescent", momentum: "Sgd", adam: "Adam" }[workload.optimizer] },
    examples: workload.batch,
};

/** Runs in the page: what begins anew with a rate and takes steps, by the name of the way. */
function prepare({ settings, workload, threads, base64 }) {
    const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
    const { engine } = window.playground;
    const ours = {
        start: (rate) => engine.ask("speed-start", { ...settings, optimizer: { ...settings.optimizer, rate } }, bytes),
        steps: async (steps) => (await engine.ask("speed-step", { steps })).loss,
        library: () => (engine.portable ? "downhill, without SIMD" : "downhill, SIMD"),
    };
    const theirs = (backend) => {
        const worker = new Worker("/bench/tensorflow.js");
        const ask = (request) => new Promise((resolve, reject) => {
            worker.onmessage = ({ data }) => (data.error ? reject(new Error(data.error)) : resolve(data));
            worker.onerror = ({ message }) => reject(new Error(message));
            worker.postMessage(request);
        });
        let library = "";
        return {
            start: async (rate) => { ({ library } = await ask({ start: { backend, threads, rate, workload, bytes } })); },
            steps: async (steps) => (await ask({ steps })).loss,
            library: () => library,
        };
    };
    const MAKE = { ours: () => ours, wasm: () => theirs("wasm"), cpu: () => theirs("cpu") };
    window.ways = {};
    window.way = (name) => (window.ways[name] ??= MAKE[name]());
}

const WAYS = {
    ours: "downhill, WebAssembly",
    ...(task.tensorflow ? { wasm: "TensorFlow.js, WebAssembly", cpu: "TensorFlow.js, JavaScript" } : {}),
};

(async () => {
    const browser = await chromium.launch({ executablePath: task.chromium });
    const page = await browser.newPage();
    page.on("pageerror", (error) => console.error(`the page: ${error.message}`));
    await page.goto(`${threads > 1 ? task.isolated : task.plain}/playground/network.html`);
    await page.waitForFunction(() => window.playground?.about());
    if (threads > 1 && !(await page.evaluate(() => window.crossOriginIsolated))) {
        throw new Error("the page is not isolated, so that it can have no threads");
    }
    await page.evaluate(prepare, { settings, workload, threads, base64: numbers().toString("base64") });

    const start = (name, rate) => page.evaluate(([name, rate]) => window.way(name).start(rate).then(() => {}), [name, rate]);
    /** The seconds that a step takes, over this number of them. */
    const repeat = (name, steps) => page.evaluate(async ([name, steps]) => {
        const from = performance.now();
        await window.way(name).steps(steps);
        return (performance.now() - from) / 1000 / steps;
    }, [name, steps]);

    const [variants, seconds] = [[], []];
    const run = async (at, wanted) => {
        seconds[at] = await repeat(variants[at].name, Math.max(1, Math.round(wanted / seconds[at])));
    };
    for (const [name, peer] of Object.entries(WAYS)) {
        try {
            await start(name, workload.rate);
            const values = [];
            for (let step = 0; step < COMPARED; step += 1) {
                values.push(await page.evaluate((name) => window.way(name).steps(1), name));
            }
            const library = await page.evaluate((name) => window.way(name).library(), name);
            await start(name, STILL);
            const at = variants.push({ name, peer, library: `${library}, Chromium ${browser.version()}`, values }) - 1;
            // A browser compiles a loop anew once it has run for a while.
            seconds[at] = await repeat(name, 2);
            await run(at, 0.1);
            await run(at, 1);
        } catch (error) {
            console.error(`${peer} can't do ${id}: ${error.message.split("\n")[0]}`);
        }
    }
    console.log(JSON.stringify({ variants }));
    for await (const line of createInterface({ input: process.stdin })) {
        const [at, wanted] = line.split(" ").map(Number);
        await run(at, wanted);
        console.log(seconds[at]);
    }
    await browser.close();
})().catch((error) => {
    console.error(error.message);
    process.exit(1);
});
