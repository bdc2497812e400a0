// What follows an equation without a space, such as a full stop or a Korean particle, stays on its line, unless the
// equation is so long that it may be broken itself.
"use strict";
document.addEventListener("DOMContentLoaded", () => {
    for (const equation of document.querySelectorAll("main span > .katex")) {
        const [rendered, after] = [equation.parentElement, equation.parentElement.nextSibling];
        const rest = after?.nodeType === Node.TEXT_NODE ? after.data.match(/^\S+/)?.[0] : undefined;
        if (rest !== undefined) {
            after.data = after.data.slice(rest.length);
            const together = document.createElement("span");
            together.className = "together";
            rendered.replaceWith(together);
            together.append(rendered, rest);
            // Browsers break in front of a mark even so, unless it takes no room of its own.
            if (/^[.,;:!?)]$/.test(rest)) {
                const mark = document.createElement("span");
                mark.className = "mark";
                together.lastChild.replaceWith(mark);
                mark.append(rest);
            }
        }
    }
});
