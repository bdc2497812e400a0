// Opens pages in headless Chromium, stores a screenshot of each, and says what is wrong with it.
//
// Reads { playwright, axe, chromium, folder, site, pages } as JSON; writes a JSON object to a line: { done: page } or
// { fault }.
"use strict";
const { readFileSync } = require("fs");
const { join } = require("path");
const { pathToFileURL } = require("url");

const task = JSON.parse(readFileSync(0, "utf8"));
const { chromium } = require(task.playwright);
const axe = readFileSync(task.axe, "utf8");

const LOOKS = [1280, 390].flatMap((width) => ["light", "dark"].map((scheme) => ({ width, scheme })));

// Runs in the page: sentences about what its reader would see wrong.
function seen() {
    const faults = [];
    const named = (element) => {
        const text = (element.textContent ?? "").trim().replace(/\s+/g, " ").slice(0, 60);
        const name = element.className?.baseVal ?? element.className;
        return `<${element.localName}${name ? ` class="${name}"` : ""}> "${text}"`;
    };

    // Too wide for the page: an ancestor that scrolls or hides it on purpose is in order.
    const room = document.documentElement.clientWidth;
    if (document.scrollingElement.scrollWidth > room) {
        faults.push(`scrolls horizontally: ${document.scrollingElement.scrollWidth} pixels in ${room}`);
    }
    const isHeld = (element) => {
        for (let above = element.parentElement; above && above !== document.body; above = above.parentElement) {
            const style = getComputedStyle(above);
            if (/auto|scroll/.test(style.overflowX) || style.position === "fixed") {
                return true;
            }
        }
        return false;
    };
    const wide = [...document.querySelectorAll("main *, .doc *")].filter((element) => {
        const { right, width } = element.getBoundingClientRect();
        return width > 0 && right > room + 1 && !element.closest("svg, .katex-mathml, math") && !isHeld(element)
            && getComputedStyle(element).visibility === "visible";
    });
    const outermost = wide.filter((element) => !wide.includes(element.parentElement));
    outermost.slice(0, 3).forEach((element) => faults.push(`sticks out to the right: ${named(element)}`));

    for (const image of document.images) {
        if (!image.complete || image.naturalWidth === 0) {
            faults.push(`shows no image for ${image.getAttribute("src")}`);
        }
    }

    // Equations that were left as they were written, and glyphs by the font that shows them.
    for (const error of document.querySelectorAll(".katex-error")) {
        faults.push(`has an equation that KaTeX does not understand: ${error.title || error.textContent}`);
    }
    for (const code of document.querySelectorAll("code.language-math, pre.language-math")) {
        faults.push(`has an equation left as text: ${code.textContent.trim().slice(0, 60)}`);
    }
    const fonts = new Map();
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        const text = walker.currentNode.data;
        const around = walker.currentNode.parentElement;
        if (text.trim() === "" || around.closest("script, style, noscript, title, .katex-mathml, math")) {
            continue;
        }
        const { fontFamily, fontStyle, fontWeight, visibility } = getComputedStyle(around);
        if (visibility !== "visible" || !around.checkVisibility()) {
            continue;
        }
        if (!around.closest("pre, code, .katex, textarea") && /\$|\\[a-zA-Z([]/.test(text)) {
            faults.push(`has an equation left as text: ${text.trim().slice(0, 60)}`);
        }
        const font = `${fontStyle} ${fontWeight} 20px ${fontFamily}`;
        const letters = fonts.get(font) ?? fonts.set(font, new Set()).get(font);
        for (const letter of text) {
            letters.add(letter);
        }
    }

    // A letter that no font has is drawn as the box that any letter gets that does not exist.
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = 40;
    const context = canvas.getContext("2d", { willReadFrequently: true });
    const drawn = (letter) => {
        context.clearRect(0, 0, 40, 40);
        context.fillText(letter, 6, 28);
        return context.getImageData(0, 0, 40, 40).data.join();
    };
    for (const [font, letters] of fonts) {
        context.font = font;
        const [nothing, box] = [drawn(" "), drawn("\u0378")];
        if (box === nothing || box !== drawn("\u0379")) {
            faults.push(`can't be searched for missing letters: ${font} draws no box for them`);
            continue;
        }
        const missing = [...letters].filter((letter) => letter > "~" && drawn(letter) === box);
        if (missing.length > 0) {
            faults.push(`lacks the letters ${missing.join(" ")} in the fonts ${font}: is a font that has them installed?`);
        }
    }
    return faults;
}

// Runs in the page: what axe-core finds serious or critical.
async function accessible() {
    const { violations } = await axe.run(document, {
        resultTypes: ["violations"],
        // It would read style sheets once more, which a page from a file may not.
        preload: false,
        runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"],
    });
    const grave = violations.filter(({ impact }) => impact === "serious" || impact === "critical");
    return grave.map(({ id, help, nodes }) => {
        const named = nodes.slice(0, 3).map(({ target, any }) => `${target.join(" ")} (${any[0]?.message ?? help})`);
        return `axe ${id}, ${nodes.length} times: ${named.join("; ")}`;
    });
}

// The picture of the start page, worked by keyboard.
async function worked(page) {
    const [said, slider, button] = [".now", "input", "button"].map((part) => page.locator(`.learning ${part}`));
    if ((await said.count()) === 0) {
        return [];
    }
    const before = await said.textContent();
    await slider.press("Home");
    const faults = (await said.textContent()) === before ? ["has a slider that no key moves"] : [];
    const start = await said.textContent();
    await button.press("Enter");
    await page.waitForTimeout(600);
    if ((await said.textContent()) === start || !(await button.evaluate((button) => button.matches(".playing")))) {
        faults.push("has a button that Enter does not start");
    }
    await button.press("Enter");
    await slider.press("End");
    if ((await said.textContent()) !== before) {
        faults.push("has a slider whose end is not where it stood");
    }
    return faults;
}

async function open(browser, { width, scheme }) {
    const context = await browser.newContext({
        viewport: { width, height: width === 390 ? 844 : 800 },
        colorScheme: scheme,
        reducedMotion: "reduce",
        offline: true,
    });
    const page = await context.newPage();
    const faults = [];
    page.on("console", (message) => message.type() === "error" && faults.push(`console: ${message.text()}`));
    page.on("pageerror", (error) => faults.push(`script: ${error.message}`));
    page.on("request", (request) => {
        if (!/^(file|data|blob|about):/.test(request.url())) {
            faults.push(`asks the network for ${request.url()}`);
        }
    });
    page.on("requestfailed", (request) => faults.push(`can't load ${request.url()}`));
    return { page, faults, width, scheme };
}

(async () => {
    const browser = await chromium.launch({ executablePath: task.chromium });
    const looks = await Promise.all(LOOKS.map((look) => open(browser, look)));
    const say = (message) => console.log(JSON.stringify(message));
    const look = async (name, { page, faults, width, scheme }) => {
        faults.length = 0;
        await page.goto(pathToFileURL(join(task.site, name)).href, { waitUntil: "load" });
        await page.evaluate(() => document.fonts.ready);
        const found = await page.evaluate(seen);
        await page.evaluate(axe);
        found.push(...(await page.evaluate(accessible)), ...(await worked(page)));
        const file = `${name.replace(/\.html$/, "").replaceAll("/", "-")}-${width}-${scheme}.png`;
        await page.screenshot({ path: join(task.folder, file), fullPage: true });
        for (const fault of new Set([...faults, ...found])) {
            say({ fault: `${name} (${width} pixels, ${scheme}) ${fault}` });
        }
    };
    for (const name of task.pages) {
        // One by one, so that a machine with few cores is not asked for more than it has.
        for (const one of looks) {
            await look(name, one).catch((error) =>
                say({ fault: `${name} (${one.width} pixels, ${one.scheme}) can't be shown: ${error.message}` }));
        }
        console.error(name);
        say({ done: name });
    }
    await browser.close();
})();
