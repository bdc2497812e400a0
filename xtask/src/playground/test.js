// Tries the playground's pages in headless Chromium, and in Firefox where there is one, and says what is wrong with them.
//
// Reads { playwright, axe, chromium, firefox, address, site, sources, shots, native, portable, scratch } as JSON; ends with 1
// if there is a fault.
"use strict";
const { readFileSync, readdirSync, writeFileSync } = require("fs");
const { execFileSync } = require("child_process");
const { join } = require("path");
const { gzipSync } = require("zlib");

const task = JSON.parse(readFileSync(0, "utf8"));
const { chromium, firefox } = require(task.playwright);
const axe = readFileSync(task.axe, "utf8");

const PAGES = ["index", "descent", "network", "chain", "digits"];
const SIZE = "a page is at most 1 MB as it is sent";
const SPIRAL = "network.html#layers=16.Relu_16.Relu&rate=0.02&speed=50";

let faults = 0;
function check(what, holds, seen = "") {
    if (holds) {
        console.log(`  ${what}`);
    } else {
        faults += 1;
        console.log(`  FAULT: ${what}${seen === "" ? "" : `: ${typeof seen === "string" ? seen : JSON.stringify(seen)}`}`);
    }
}

/** The native library's answers to requests. */
function native(requests, { isPortable = false } = {}) {
    const [program, ...rest] = [...(isPortable ? task.portable : []), task.native];
    const input = requests.map((request) => JSON.stringify(request)).join("\n");
    return execFileSync(program, rest, { input, encoding: "utf8", maxBuffer: 1 << 28 }).trim().split("\n").map((line) => JSON.parse(line));
}

let [browser, isFirefox] = [null, false];
const seen = [];

async function open(address, { width = 1280, scheme = "light", motion = "no-preference", locale = "en-GB" } = {}) {
    // Firefox can't be asked for these over WebDriver BiDi.
    const media = isFirefox ? {} : { colorScheme: scheme, reducedMotion: motion };
    const context = await browser.newContext({ viewport: { width, height: width === 390 ? 844 : 800 }, ...media, locale, acceptDownloads: true });
    const page = await context.newPage();
    page.on("console", (message) => message.type() === "error" && seen.push(`${address}: console: ${message.text()}`));
    page.on("pageerror", (error) => seen.push(`${address}: script: ${error.message}`));
    page.on("request", (request) => /^(data|blob):/.test(request.url()) || request.url().startsWith(task.address) || seen.push(`${address}: asks for ${request.url()}`));
    await page.goto(task.address + address, { waitUntil: "load" });
    await ready(page);
    return page;
}

/** Until the library has answered. */
async function ready(page) {
    await page.waitForFunction(() => {
        const shown = window.playground;
        const isTold = shown?.engine?.hasAnswered && document.querySelector(".message")?.textContent;
        return !shown || isTold || (shown.about?.() ?? shown.start?.() ?? shown.reply?.() ?? shown.read?.()) || document.querySelector(".message.fault");
    });
    await page.waitForTimeout(150);
}

const told = (page) => page.textContent(".message");
const close = (page) => page.context().close();

/** The file that a button gives. */
async function takenAway(page, name) {
    const press = () => page.click(`button:has-text("${name}")`);
    if (!isFirefox) {
        const [download] = await Promise.all([page.waitForEvent("download"), press()]);
        return readFileSync(await download.path());
    }
    // A download is not told of over WebDriver BiDi: this is what the page's link to it names.
    await page.evaluate(() => {
        const whole = URL.createObjectURL;
        window.taken = new Promise((resolve) => {
            URL.createObjectURL = (blob) => {
                URL.createObjectURL = whole;
                blob.arrayBuffer().then((bytes) => resolve([...new Uint8Array(bytes)]));
                return whole.call(URL, blob);
            };
        });
    });
    await press();
    return Buffer.from(await page.evaluate(() => window.taken));
}

const TESTS = {
    async "the network learns the spiral"() {
        const page = await open(SPIRAL);
        await page.click("#run");
        const accuracy = () => Number.parseFloat(document.querySelector("#figure-test-accuracy")?.textContent ?? "0");
        await page.waitForFunction(() => Number.parseFloat(document.querySelector("#figure-test-accuracy")?.textContent ?? "0") > 95, null, { timeout: 60000 }).catch(() => {});
        await page.click("#run");
        const reached = await page.evaluate(accuracy);
        check("over 95 % of the spiral's test points are told apart", reached > 95, `${reached} %`);
        await close(page);
    },

    async "a picture of the default network takes less than a frame"() {
        const page = await open("network.html");
        await page.click("#run");
        const frames = await page.evaluate(() => new Promise((resolve) => {
            const from = performance.now();
            let [count, first] = [0, window.playground.view().steps];
            const next = () => {
                count += 1;
                const passed = performance.now() - from;
                if (passed < 2000) {
                    requestAnimationFrame(next);
                } else {
                    resolve({ frames: (count * 1000) / passed, steps: ((window.playground.view().steps - first) * 1000) / passed });
                }
            };
            requestAnimationFrame(next);
        }));
        // Half of what is aimed at, since other programs may be busy here.
        check(`the page shows ${frames.frames.toFixed(0)} frames a second while it takes ${frames.steps.toFixed(0)} steps`, frames.frames > 30 && frames.steps > 30, frames);
        await close(page);
    },

    async "Rosenbrock's function is descended, and a rate beyond 2/λ explodes"() {
        const page = await open("descent.html#speed=20");
        await page.click("#run");
        const least = () => Math.min(...window.playground.paths().map((path) => path.at(-1)[3]));
        await page.waitForFunction(() => window.playground.paths().some((path) => path.at(-1)[3] < 1e-4), null, { timeout: 60000 }).catch(() => {});
        const reached = await page.evaluate(least);
        check("an optimizer has come below 1e-4", reached < 1e-4, reached);
        await close(page);

        const ravine = await open('descent.html#function=ravine&runs=[{"name":"GradientDescent","rate":0.05}]');
        await ravine.click("text=Set the rate to 1.05 · 2/λ");
        await ready(ravine);
        check("a rate beyond 2/λ is called so", (await ravine.textContent("main")).includes("is beyond 2/λ = 0.1 here"));
        await ravine.click("#run");
        await ravine.waitForFunction(() => window.playground.ended().every(Boolean), null, { timeout: 60000 }).catch(() => {});
        const message = await told(ravine);
        check("it explodes with its message", /exploded at step \d+: its rate 0\.105 is beyond 2\/λ = 0\.1 /.test(message), message);
        await close(ravine);
    },

    async "the chain rule's numbers are those of the native library"() {
        const page = await open("chain.html");
        const { request, reply } = await page.evaluate(() => ({ request: window.playground.request(), reply: window.playground.reply() }));
        const [answer] = native([{ ask: "chain-start", ...request }]);
        const difference = (a, b) => {
            if (typeof a === "number") { return typeof b === "number" ? Math.abs(a - b) / Math.max(1, Math.abs(a)) : Infinity; }
            if (a === null || typeof a !== "object") { return a === b ? 0 : Infinity; }
            const keys = Object.keys(a).filter((key) => key !== "bytes");
            return keys.length === Object.keys(b ?? {}).filter((key) => key !== "bytes").length ? Math.max(0, ...keys.map((key) => difference(a[key], b[key]))) : Infinity;
        };
        const far = difference(reply, answer);
        check(`all ${reply.numbers.length} numbers are native explain's, within rounding`, far < 1e-14, far);
        const shown = await page.$$eval(".graph .node", (nodes) => nodes.length);
        check(`${shown} of them are drawn`, shown > 30);

        await page.click('.graph .node[data-number="{parameter_gradient:{index:1,parameter:0}}"]');
        await page.waitForSelector("#difference");
        const [exact, finite, equation] = await Promise.all(["#exact", "#difference", "#equation"].map((id) => page.textContent(id)));
        const value = (text) => Number(text.replace("−", "-"));
        check("a pressed number shows its equation beside its finite difference", Math.abs(value(exact) - value(finite)) < 1e-7 && equation.startsWith("dJ/dw₂₁ = "), { exact, finite, equation });
        const before = await page.textContent("#loss");
        await page.click("#take-step");
        await page.waitForFunction((old) => document.querySelector("#loss").textContent !== old, before);
        check("a step makes the loss less", value(await page.textContent("#loss")) < value(before));
        await close(page);
    },

    async "weights after 100 steps have the bits of the native portable path"() {
        const hashes = {};
        let request = null;
        for (const build of ["network.html", "network.html?portable"]) {
            const page = await open(build);
            await page.evaluate(() => window.playground.steps(100));
            request = await page.evaluate(() => window.playground.request());
            const { hash } = await page.evaluate(() => window.playground.engine.ask("learner-hash"));
            hashes[(await page.evaluate(() => window.playground.engine.portable)) ? "portable" : "simd"] = hash;
            await close(page);
        }
        check("the build with SIMD and the one without agree", hashes.simd !== undefined && hashes.simd === hashes.portable, hashes);
        if (task.portable === null) {
            check("the native portable path can be run (qemu-x86_64 is missing; on Debian, `apt-get install qemu-user` installs it)", false);
            return;
        }
        const [, , { hash }] = native([{ ask: "learner-start", ...request }, { ask: "learner-step", steps: 100 }, { ask: "learner-hash" }], { isPortable: true });
        check(`both are the native portable path's (${hash})`, hash === hashes.simd, { native: hash, ...hashes });
    },

    async "digits are read and learnt"() {
        const page = await open("digits.html");
        const draw = async (...strokes) => {
            await page.click("#clear");
            const box = await page.locator("#pad").boundingBox();
            for (const points of strokes) {
                const at = ([x, y]) => [box.x + (x / 64) * box.width, box.y + (y / 64) * box.height];
                await page.mouse.move(...at(points[0]));
                await page.mouse.down();
                for (const point of points.slice(1)) { await page.mouse.move(...at(point), { steps: 8 }); }
                await page.mouse.up();
            }
            await page.waitForTimeout(400);
            return page.textContent("#answer");
        };
        const ring = Array.from({ length: 25 }, (_, at) => [32 + 13 * Math.sin(at * Math.PI / 12), 32 - 21 * Math.cos(at * Math.PI / 12)]);
        check("a 0 is read", (await draw(ring)) === "0");
        check("a 1 is read", (await draw([[26, 20], [33, 10], [33, 54]])) === "1");
        check("a 3 is read", (await draw([[20, 18], [28, 11], [40, 14], [42, 24], [32, 31], [42, 38], [40, 50], [28, 53], [20, 47]])) === "3", await page.textContent("#answer"));
        const SEVENS = [[[18, 12], [46, 12], [28, 54]], [[18, 12], [44, 12], [36, 54]], [[18, 20], [18, 12], [46, 12], [30, 54]], [[14, 14], [48, 10], [20, 54]]];
        for (const seven of SEVENS) { check("a 7 without a bar is read", (await draw(seven)) === "7", await page.textContent("#answer")); }
        check("a 2 is read", (await draw([[18, 14], [44, 14], [20, 54], [46, 54]])) === "2", await page.textContent("#answer"));
        check("an open 4 is read", (await draw([[24, 10], [20, 34], [46, 34]], [[40, 12], [40, 56]])) === "4", await page.textContent("#answer"));
        await draw([[12, 12], [52, 52]], [[52, 12], [12, 52]]);
        await page.click('button[aria-label="This is a 4"]');
        await page.click("#learn");
        await page.waitForFunction(() => document.querySelector(".message").textContent !== "");
        await page.click("#learn");
        await page.waitForTimeout(1500);
        check("a cross becomes a 4 once it is taught", (await page.textContent("#answer")) === "4", await page.textContent("#answer"));
        const right = Number((await page.textContent("#test")).match(/^\d+/)[0]);
        check(`${right} of 360 unseen digits are still read right`, right > 335);
        await close(page);
    },

    async "languages, and the state in the address"() {
        const page = await open("network.html");
        await page.getByLabel("Data set", { exact: true }).selectOption("moons");
        await ready(page);
        await page.click('button:has-text("Add a layer")');
        await ready(page);
        await page.click("text=한국어");
        await page.waitForFunction(() => document.documentElement.lang === "ko");
        check("the page is Korean", (await page.getAttribute("html", "lang")) === "ko" && (await page.textContent("h1")) === "신경망 학습");
        await page.getByLabel("옵티마이저", { exact: true }).selectOption("Lion");
        await ready(page);
        const address = await page.evaluate(() => location.hash);
        const state = await page.evaluate(() => window.playground.request());
        await close(page);
        const again = await open(`network.html${address}`);
        check("a page that is opened from its address has the same state", JSON.stringify(await again.evaluate(() => window.playground.request())) === JSON.stringify(state), address);
        check("and the same language", (await again.getAttribute("html", "lang")) === "ko", address);
        await close(again);
        const words = (language) => {
            // Node takes a file for a module by its name.
            const copy = join(task.scratch, `words-${language}.mjs`);
            writeFileSync(copy, readFileSync(join(task.site, `words-${language}.js`)));
            return import(`file://${copy}`);
        };
        const [{ WORDS: en }, { WORDS: ko, SENTENCES }] = await Promise.all(["en", "ko"].map(words));
        const missing = Object.keys(en).filter((key) => !ko[key]);
        const unknown = Object.keys(ko).filter((key) => !key.startsWith("term.") && !en[key]);
        check("both languages have the same words", missing.length + unknown.length === 0, { missing, unknown });
        const sources = readdirSync(task.sources).map((file) => readFileSync(join(task.sources, file), "utf8").split("#[cfg(test)]")[0]).join("");
        const sentences = [...sources.matchAll(/(?:Error::new|\.fault)\(\s*"((?:[^"\\]|\\[^])*)"/g)].map(([, text]) => text.replace(/\\\n\s*/g, "").replaceAll('\\"', '"'));
        const untold = sentences.filter((one) => !SENTENCES[one]);
        check(`all ${sentences.length} sentences of refusals are Korean too`, sentences.length > 40 && untold.length === 0, untold);
        const unsaid = Object.keys(SENTENCES).filter((one) => !sentences.includes(one));
        check("and no other", unsaid.length === 0, unsaid);
        const ungiven = Object.entries(SENTENCES).filter(([en, ko]) => (ko.match(/\{\w+\}/g) ?? []).some((one) => !en.includes(one)));
        check("with no value that is not given", ungiven.length === 0, ungiven);
        const values = (text) => (text.match(/\{\w+\}/g) ?? []).sort().join();
        const other = Object.keys(en).filter((key) => ko[key] && values(en[key]) !== values(ko[key]));
        check("with the same values in them", other.length === 0, other);
    },

    async "no choice and no heading is cut off"() {
        const cut = () => {
            document.querySelectorAll("details").forEach((one) => { one.open = true; });
            const narrow = [...document.querySelectorAll("select")].filter((select) => {
                // As wide as its longest choice.
                const whole = select.cloneNode(true);
                whole.style.cssText = "position: absolute; width: auto; min-width: 0; max-width: none";
                select.after(whole);
                const isCut = whole.offsetWidth > select.offsetWidth;
                whole.remove();
                return isCut;
            });
            const longest = (select) => [...select.options].map(({ text }) => text).sort((a, b) => b.length - a.length)[0];
            // As high as its letters: a font's own box, which may be half as high again, may meet the next line's.
            const boxOf = (one) => {
                const [{ x, y, width, height }, size] = [one.getBBox(), Number.parseFloat(getComputedStyle(one).fontSize)];
                return { x, width, y: y + (height - size) / 2, height: size };
            };
            const titles = [...document.querySelectorAll(".graph text.title")].map((one) => ({ text: one.textContent, box: boxOf(one) }));
            const meets = (a, b) => a !== b && a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;
            const cutTitles = titles.filter(({ text, box }) => text.includes("…") || titles.some((other) => meets(box, other.box)));
            return [...narrow.map(longest), ...cutTitles.map(({ text }) => text)];
        };
        const CLASSES = "chain.html#loss=SoftmaxCrossEntropy&outputs=2&outputActivation=Identity&targets=[0]&";
        for (const address of ["descent.html#", "network.html#", "chain.html#", CLASSES, "digits.html#"]) {
            for (const [width, language] of [[1280, "en"], [1280, "ko"], [390, "en"], [390, "ko"]]) {
                const page = await open(`${address}lang=${language}`, { width });
                const found = await page.evaluate(cut);
                check(`${address.slice(0, 20)} at ${width} pixels in ${language}`, found.length === 0, found);
                await close(page);
            }
        }
    },

    async "the keyboard reaches all there is"() {
        for (const name of PAGES) {
            const page = await open(`${name}.html`);
            const count = await page.evaluate(() => {
                const all = document.querySelectorAll('a[href], button, select, input, summary, [tabindex="0"]');
                const usable = [...all].filter((one) => !one.disabled && one.tabIndex >= 0 && one.checkVisibility());
                window.unreached = new Set(usable);
                return usable.length;
            });
            for (let at = 0; at < count + 5; at += 1) {
                await page.keyboard.press("Tab");
                await page.evaluate(() => window.unreached.delete(document.activeElement));
            }
            const left = await page.evaluate(() => [...window.unreached].map((one) => one.outerHTML.slice(0, 90)));
            check(`${name}: Tab reaches all ${count} controls`, left.length === 0, left);
            await close(page);
        }
        const page = await open("network.html");
        await page.focus("#step");
        await page.keyboard.press("Enter");
        await page.waitForFunction(() => window.playground.view().steps === 1);
        await page.focus("#run");
        await page.keyboard.press("Space");
        await page.waitForFunction(() => window.playground.view().steps > 10);
        check("Enter takes a step, and Space runs", true);
        await close(page);
        const map = await open("descent.html");
        const x = await map.evaluate(() => window.playground.state.values.x);
        await map.focus("#map");
        await map.keyboard.press("ArrowRight");
        await ready(map);
        check("arrows move the start", (await map.evaluate(() => window.playground.state.values.x)) > x);
        await close(map);
        const pad = await open("digits.html");
        await pad.focus("#pad");
        await pad.keyboard.press("Space");
        for (let at = 0; at < 20; at += 1) { await pad.keyboard.press("ArrowDown"); }
        await pad.waitForTimeout(500);
        check("a 1 is drawn by arrows and read", (await pad.textContent("#answer")) === "1", await pad.textContent("#answer"));
        await close(pad);
    },

    async "a control is not taken out of the hand that holds it"() {
        for (const [address, label] of [["network.html", "Noise"], ["network.html", "Learning rate"], ["descent.html", "Learning rate"], ["chain.html", "Learning rate"]]) {
            const page = await open(address);
            const thumb = page.locator(`.field:has(label:text-is("${label}")) input[type=range], .field:has(label:has-text("${label}")) input[type=range]`).first();
            await thumb.scrollIntoViewIfNeeded();
            const box = await thumb.boundingBox();
            const place = await thumb.evaluate((one) => (one.value - one.min) / (one.max - one.min));
            const [x, y] = [box.x + 8 + place * (box.width - 16), box.y + box.height / 2];
            await page.mouse.move(x, y);
            await page.mouse.down();
            for (let at = 1; at <= 10; at += 1) {
                await page.mouse.move(x + 5 * at * (place > 0.7 ? -1 : 1), y);
                await page.waitForTimeout(40);
            }
            await page.mouse.up();
            await ready(page);
            const moved = await thumb.evaluate((one, from) => Math.abs((one.value - one.min) / (one.max - one.min) - from), place);
            check(`${address}: ${label} is dragged`, moved > 25 / box.width, moved);
            const before = await thumb.inputValue();
            await thumb.focus();
            for (let at = 0; at < 3; at += 1) { await page.keyboard.press("ArrowLeft"); await page.waitForTimeout(150); }
            const [after, holds] = [await thumb.inputValue(), await thumb.evaluate((one) => one === document.activeElement)];
            check(`${address}: ${label} moves by each key, and keeps the focus`, holds && Number(after) < Number(before), { before, after, holds });
            await close(page);
        }
        const page = await open("descent.html");
        await page.getByLabel("x", { exact: true }).click();
        await page.keyboard.press("Control+A");
        await page.keyboard.type("-1.5");
        await page.keyboard.press("Tab");
        await page.waitForTimeout(400);
        await page.keyboard.press("Control+A");
        await page.keyboard.type("2");
        await page.keyboard.press("Enter");
        await ready(page);
        const { x, y } = await page.evaluate(() => window.playground.state.values);
        check("what is typed into the next field is kept", x === -1.5 && y === 2, { x, y });
        await close(page);
        const PRESSED = {
            network: ['button:text-is("Add a layer")', '.chips button:text-is("x₁²")', 'button[aria-label="One unit more in layer 1"]', ".look button:last-child"],
            descent: ['button:text-is("Set the rate to 1.05 · 2/λ")'],
            chain: ["#take-step", 'button:text-is("+ input")'],
            digits: ['button[aria-label="This is a 7"]'],
        };
        const lost = [];
        for (const [name, buttons] of Object.entries(PRESSED)) {
            const page = await open(`${name}.html`);
            for (const one of buttons) {
                await page.focus(one);
                await page.keyboard.press("Enter");
                await page.waitForTimeout(500);
                if (await page.evaluate(() => document.activeElement === document.body)) { lost.push(one); }
            }
            await close(page);
        }
        check("a pressed button keeps the focus", lost.length === 0, lost);
    },

    async "a link into the same page is followed"() {
        const page = await open("network.html#data=xor");
        await Promise.all([page.waitForEvent("load"), page.evaluate(() => { location.hash = "data=moons"; })]);
        await ready(page);
        const shown = await page.evaluate(() => window.playground.request().data);
        check("the data are those of the new address", shown === "moons", shown);
        await close(page);
    },

    async "a library that can't be loaded is told"() {
        for (const missing of ["worker.js", "playground*.wasm", "digits.safetensors"]) {
            const context = await browser.newContext({ locale: "en-GB" });
            const page = await context.newPage();
            await page.route(`**/${missing}`, (route) => route.fulfill({ status: 404, body: "" }));
            await page.goto(`${task.address}${missing.startsWith("digits") ? "digits" : "network"}.html`);
            await page.waitForFunction(() => document.querySelector(".message.fault")?.textContent.includes("can't be loaded"), null, { timeout: 15000 }).catch(() => {});
            check(`without ${missing}`, (await told(page)).includes("can't be loaded"), await told(page));
            await context.close();
        }
    },

    async "a hostile address or table gives a message and no broken page"() {
        const HOSTILE = {
            network: ["layers=<script>alert(1)</script>", "rate=NaN&batch=1e99&seed=-1", "points=%%%", "points=!!!!&data=own", "__proto__=1&constructor=2", "layers=9999.Tanh", `layers=${"8.Tanh_".repeat(500)}`, "layers=4.Nothing", "optimizer=Adam2", 'optimizerSettings={"beta1":"x"}', 'scheduleSettings={"__proto__":1}', "data=own", "loss=CTC", 'schedule=MultiStep&scheduleSettings={"milestones":null}', `lossSettings=${"[".repeat(5000)}`],
            descent: ["function=x", "formula=((((&function=formula", "x=Infinity&y=1e999", "runs=[]", "runs={}", 'runs=[{"name":"Adam"}]', 'runs=[{"name":"Ad","rate":0.1}]', 'runs=[{"name":"Adam","rate":1,"schedule":"MultiStep","scheduleSettings":{"milestones":5}}]', `formula=${"(".repeat(300)}&function=formula`, "formula=1/0&function=formula"],
            chain: ["inputs=[]", "inputs=[1e400]", "weights=[1]", "at=9999", "loss=None", "activation=Nothing", 'inputs=["1"]'],
            digits: ["ink=zzzzz", "ink=%00", "label=11", "ink=<b>"],
        };
        for (const [name, hashes] of Object.entries(HOSTILE)) {
            const silent = [];
            for (const hash of hashes) {
                const page = await open(`${name}.html#${hash}`);
                const message = await told(page);
                const isWhole = (await page.$$("main section")).length > 2 && (await page.$$("header.top nav a")).length === 4;
                // What divides by 0 is a function, if a poor one.
                if (!isWhole || (message === "" && !hash.startsWith("formula=1/0"))) { silent.push({ hash: hash.slice(0, 60), message }); }
                await close(page);
            }
            check(`${name}: ${hashes.length} hostile addresses`, silent.length === 0, silent);
        }
        const page = await open("network.html");
        const TABLES = ["", "a,b\n1,2", "a,b,c\n1,2,x\n1,\"2,y", "x,y,z\nNaN,1,1\n", "\u0000\u0001\u0002", "a,b,c\n" + "1,2,3\n".repeat(5000), "<script>,b,c\n1,2,<img src=x onerror=alert(1)>\n"];
        const silent = [];
        for (const table of TABLES) {
            const message = await page.evaluate(async (text) => {
                await window.playground.readFile(new File([text], "a.csv"));
                return document.querySelector(".message.fault")?.textContent ?? "";
            }, table);
            if (message === "") { silent.push(table.slice(0, 40)); }
        }
        check(`${TABLES.length} hostile tables`, silent.length === 0, silent);
        await page.evaluate(() => window.playground.readFile(new File(["a,b,kind\n" + Array.from({ length: 40 }, (_, at) => `${at},${at * at % 7},${at % 2 ? "x" : "y"}`).join("\n")], "b.csv")));
        await page.evaluate(() => window.playground.steps(5));
        check("a good one is learnt from, after all of them", (await page.evaluate(() => window.playground.view().steps)) === 5, await told(page));
        await close(page);
    },

    async "what is taken away gives the same answers"() {
        const page = await open("network.html#layers=6.Tanh_5.Gelu.LayerNorm&inputs=x1,x2,x1^2");
        await page.evaluate(() => window.playground.steps(300));
        const source = (await takenAway(page, "Rust source")).toString();
        const points = [[0.1, 0.2], [-0.7, 0.4], [0.9, -0.9]];
        const answers = await page.evaluate(async (points) => {
            const reply = await window.playground.engine.ask("learner-predict", { points });
            return [...new Float32Array(reply.bytes.buffer)];
        }, points);
        check("the source says what its inputs and outputs are", source.includes("in this order: x1, x2, x1^2.") && source.includes("a score for each class"), source.slice(0, 200));
        const inputs = points.map(([x, y]) => `[${[x, y, x * x].map((one) => Math.fround(one)).join("_f32, ")}_f32]`);
        const program = `#![allow(dead_code, clippy::all)]\nmod network {\n${source.replace(/^#!\[.*$/gm, "").replace(/^\/\/!/gm, "//")}\n}\nfn main() {\n    for x in [${inputs.join(", ")}] {\n        for y in network::predict(&x) {\n            println!("{y}");\n        }\n    }\n}\n`;
        const file = join(task.scratch, "exported.rs");
        writeFileSync(file, program);
        execFileSync("rustc", ["--edition", "2021", "-O", "-o", join(task.scratch, "exported"), file], { stdio: "inherit" });
        const printed = execFileSync(join(task.scratch, "exported"), { encoding: "utf8" }).trim().split("\n").map(Number);
        const far = Math.max(...printed.map((one, at) => Math.abs(one - answers[at])));
        check(`the Rust source answers as the page does, within ${far.toExponential(1)}`, printed.length === answers.length && far < 1e-5, { printed, answers });
        const bytes = await takenAway(page, "Model file");
        check("the model file is one", bytes.includes("downhill.model") && bytes.length > 500, bytes.length);
        await close(page);
    },

    async [SIZE]() {
        const size = (name) => gzipSync(readFileSync(join(task.site, name)), { level: 9 }).length;
        const SHARED = ["style.css", "icon.svg", "page.js", "draw.js", "words-ko.js", "worker.js"];
        for (const name of PAGES) {
            const own = name === "digits" ? ["digits.safetensors"] : [];
            for (const module of ["playground.wasm", "playground-simd.wasm"]) {
                const files = [...SHARED, `${name}.html`, `${name}.js`, module, ...own];
                const sum = files.reduce((total, file) => total + size(file), 0);
                check(`${name} with ${module} is ${(sum / 1e6).toFixed(3)} MB`, sum <= 1e6, sum);
            }
        }
    },

    async "looks, and axe"() {
        for (const name of PAGES) {
            for (const width of [1280, 390]) {
                for (const scheme of isFirefox ? ["light"] : ["light", "dark"]) {
                    for (const language of ["en", "ko"]) {
                        const page = await open(`${name}.html#lang=${language}`, { width, scheme, motion: "reduce" });
                        await page.evaluate(async () => {
                            const shown = window.playground;
                            if (shown?.steps) { for (let at = 0; at < 30; at += 1) { await shown.steps(50); } }
                            if (shown?.choose) { await shown.choose(40); }
                            if (shown?.stroke) {
                                const points = [[20, 20], [28, 12], [40, 14], [42, 24], [32, 31], [42, 38], [40, 50], [28, 53], [20, 46]];
                                points.slice(1).forEach(([x, y], at) => shown.stroke({ x: points[at][0], y: points[at][1] }, { x, y }));
                                shown.changed();
                            }
                        });
                        await page.waitForTimeout(600);
                        const before = seen.length;
                        await page.screenshot({ path: join(task.shots, `${name}-${width}-${language}-${scheme}${isFirefox ? "-firefox" : ""}.png`), fullPage: true });
                        // For a picture a style is brought, which the page's policy refuses; only Firefox says so.
                        if (isFirefox) { seen.splice(before); }
                        if (width === 1280 && scheme === "light" && name !== "index" && !isFirefox) {
                            // Those that the guide shows, and the README.
                            await page.screenshot({ path: join(task.shots, `playground-${name}-${language}.png`) });
                        }
                        const { room, wide } = await page.evaluate(() => ({ room: document.documentElement.clientWidth, wide: document.scrollingElement.scrollWidth }));
                        if (wide > room) { check(`${name} fits ${width} pixels in ${language}`, false, `${wide} of ${room}`); }
                        // Firefox would say that the page's policy refuses the style that axe brings.
                        if (!isFirefox && (language === "en" || width === 1280)) {
                            await page.evaluate(axe);
                            const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
                            const serious = violations.filter(({ impact }) => impact === "serious" || impact === "critical")
                                .map(({ id, nodes }) => `${id}: ${nodes.slice(0, 3).map(({ target, any }) => `${target.join(" ")} (${any[0]?.message ?? ""})`).join("; ")}`);
                            if (serious.length) { check(`axe finds nothing serious in ${name} (${width}, ${scheme}, ${language})`, false, serious); }
                        }
                        await close(page);
                    }
                }
            }
            console.log(`  ${name}: looked at`);
        }
    },
};

async function tryAll(tests) {
    const only = process.env.ONLY;
    for (const [name, test] of tests) {
        if (only && !name.includes(only)) { continue; }
        console.log(name);
        const from = performance.now();
        await test().catch((error) => check("it can be tried", false, error.message.split("\n").slice(0, 4).join(" ")));
        console.log(`  (${((performance.now() - from) / 1000).toFixed(0)} s)`);
    }
    check("no page writes an error or asks for anything elsewhere", seen.length === 0, [...new Set(seen.splice(0))].slice(0, 8));
    await browser.close();
}

(async () => {
    const tests = Object.entries(TESTS);
    browser = await chromium.launch({ executablePath: task.chromium });
    await tryAll(tests);
    if (task.firefox) {
        // Firefox as it is distributed, over WebDriver BiDi.
        isFirefox = true;
        browser = await firefox.launch({ executablePath: task.firefox, channel: "moz-firefox" });
        console.log(`Firefox ${browser.version()}`);
        await tryAll(tests.filter(([name]) => name !== SIZE));
    } else {
        console.log("Firefox is not installed, so that the pages are not tried in it");
    }
    process.exitCode = faults > 0 ? 1 : 0;
})();
