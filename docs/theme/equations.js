// Renders the equations of a page of rustdoc or mdBook, written as Markdown leaves them:
// $`...`$ or $...$ in a line, a fenced block of the language `math` or $$...$$ on lines of their own.
"use strict";
(() => {
    const rendered = (tex, displayMode) => {
        const element = document.createElement(displayMode ? "div" : "span");
        katex.render(tex, element, { displayMode, throwOnError: false });
        return element;
    };

    // mdBook marks the <code>, rustdoc the <pre>, which it wraps together with a button to copy it.
    for (const code of document.querySelectorAll("pre > code.language-math, pre.language-math > code")) {
        const block = code.closest(".example-wrap") ?? code.parentElement;
        block.replaceWith(rendered(code.textContent, true));
    }

    for (const code of document.querySelectorAll("code")) {
        const [before, after] = [code.previousSibling, code.nextSibling];
        if (before?.nodeType === Node.TEXT_NODE && before.data.endsWith("$")
            && after?.nodeType === Node.TEXT_NODE && after.data.startsWith("$")) {
            before.data = before.data.slice(0, -1);
            after.data = after.data.slice(1);
            code.replaceWith(rendered(code.textContent, false));
        }
    }

    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_ELEMENT | NodeFilter.SHOW_TEXT, (node) =>
        node.nodeType === Node.TEXT_NODE
            ? (node.data.includes("$") ? NodeFilter.FILTER_ACCEPT : NodeFilter.FILTER_SKIP)
            : (node.matches("pre, code, script, style, textarea, .katex") ? NodeFilter.FILTER_REJECT : NodeFilter.FILTER_SKIP));
    const texts = [];
    while (walker.nextNode()) {
        texts.push(walker.currentNode);
    }
    for (const text of texts) {
        // Split by a pattern with groups: prose, displayed equation, equation in a line, prose, ...
        const pieces = text.data.split(/\$\$([^$]+)\$\$|\$(?!\s)([^$]+?)(?<!\s)\$/);
        const nodes = [];
        for (let i = 0; i < pieces.length; i += 3) {
            nodes.push(pieces[i]);
            if (i + 1 < pieces.length) {
                nodes.push(rendered(pieces[i + 1] ?? pieces[i + 2], pieces[i + 1] !== undefined));
            }
        }
        text.replaceWith(...nodes);
    }
})();
