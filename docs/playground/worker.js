// Runs the library beside the page, which never waits for it: a request comes in as JSON with bytes, and a reply goes out.
"use strict";

// A module with one instruction of simd128: a browser that finds it valid takes the faster build.
const SIMD = new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11]);

const isThere = typeof WebAssembly === "object";
const portable = new URLSearchParams(self.location.search).has("portable") || !isThere || !WebAssembly.validate(SIMD);
const encoder = new TextEncoder();
const decoder = new TextDecoder();
let module = null;
let loading = null;

async function load() {
    if (!isThere) {
        throw new Error("WebAssembly is missing.");
    }
    const answer = await fetch(portable ? "playground.wasm" : "playground-simd.wasm");
    if (!answer.ok) {
        throw new Error(`${answer.url} can't be loaded (${answer.status}).`);
    }
    const { instance } = await WebAssembly.instantiate(await answer.arrayBuffer(), {});
    module = instance.exports;
}

function call(request, bytes) {
    const text = encoder.encode(JSON.stringify(request));
    const start = module.playground_input(text.length + bytes.length);
    // After each call: what grows takes the memory's place.
    let memory = new Uint8Array(module.memory.buffer);
    memory.set(text, start);
    memory.set(bytes, start + text.length);
    module.playground_call(text.length);
    memory = new Uint8Array(module.memory.buffer);
    const part = (at, length) => memory.slice(at, at + length);
    const reply = JSON.parse(decoder.decode(part(module.playground_text(), module.playground_text_length())));
    return { reply, bytes: part(module.playground_bytes(), module.playground_bytes_length()) };
}

self.onmessage = async ({ data: { id, request, bytes } }) => {
    let answer;
    try {
        loading ??= load();
        await loading;
        answer = call(request, bytes ?? new Uint8Array());
    } catch (error) {
        // A module that has ended by itself answers nothing more; the next request gets a new one.
        answer = { reply: { error: String(error.message ?? error), [module === null ? "unloaded" : "ended"]: true }, bytes: new Uint8Array() };
        [loading, module] = [null, null];
    }
    self.postMessage({ id, portable, ...answer }, [answer.bytes.buffer]);
};
