// TensorFlow.js in a worker: the steps that `browser.js` asks for, each a forward and a backward pass and the update.
"use strict";
importScripts("/tfjs/tf.min.js", "/tfjs-wasm/tf-backend-wasm.min.js");

let step = null;

const OPTIMIZERS = {
    descent: (rate) => tf.train.sgd(rate),
    momentum: (rate) => tf.train.momentum(rate, 0.9),
    adam: (rate) => tf.train.adam(rate, 0.9, 0.999, 1e-8),
};

async function start({ backend, threads, rate, workload, bytes }) {
    if (step === null) {
        tf.wasm.setWasmPaths("/tfjs-wasm/");
        tf.wasm.setThreadsCount(threads);
    }
    if (!(await tf.setBackend(backend))) {
        throw new Error(`the backend ${backend} does not start`);
    }
    const numbers = new Float32Array(bytes.buffer);
    let at = 0;
    const take = (count) => numbers.subarray(at, (at += count));

    const { widths, batch, loss: criterion } = workload;
    const outputs = widths.at(-1);
    const layers = widths.slice(1).map((units, place) => ({
        weight: tf.variable(tf.tensor2d(take(units * widths[place]), [units, widths[place]]).transpose()),
        bias: tf.variable(tf.tensor1d(take(units))),
    }));
    const x = tf.tensor2d(take(batch * widths[0]), [batch, widths[0]]);
    const isOfClasses = criterion === "cross-entropy";
    const target = isOfClasses
        ? tf.oneHot(tf.tensor1d(Int32Array.from(take(batch)), "int32"), outputs).toFloat()
        : tf.tensor2d(take(batch * outputs), [batch, outputs]);

    const activation = workload.activation === "tanh" ? tf.tanh : tf.relu;
    // The product and the bias are one operation, as in its own dense layers; but not for x, since that operation derives
    // by both of its factors, wanted or not.
    const predict = () => layers.reduce((a, { weight, bias }, place) => {
        const y = place === 0 ? tf.add(tf.matMul(a, weight), bias) : tf.fused.matMul({ a, b: weight, bias });
        return place + 1 < layers.length ? activation(y) : y;
    }, x);
    const compare = isOfClasses ? tf.losses.softmaxCrossEntropy : tf.losses.meanSquaredError;
    const loss = () => compare(target, predict());
    const optimizer = OPTIMIZERS[workload.optimizer](rate);
    const variables = layers.flatMap(({ weight, bias }) => [weight, bias]);
    step = (isTold) => optimizer.minimize(loss, isTold, variables);

    const count = self.crossOriginIsolated && backend === "wasm" ? tf.wasm.getThreadsCount() : 1;
    return { library: `TensorFlow.js ${tf.version.tfjs}, ${count} thread${count === 1 ? "" : "s"}` };
}

function steps(count) {
    for (let taken = 1; taken < count; taken += 1) {
        step(false);
    }
    const told = step(true);
    const [loss] = told.dataSync();
    told.dispose();
    return { loss };
}

self.onmessage = async ({ data }) => {
    try {
        self.postMessage(data.start ? await start(data.start) : steps(data.steps));
    } catch (error) {
        self.postMessage({ error: String(error.message ?? error) });
    }
};
