// Whatever scrolls within a page, such as a long line of code or a wide table, can be reached by keyboard, and so can
// mdBook's button for the contents, which is a label.
"use strict";
addEventListener("load", () => {
    const reach = () => {
        for (const box of document.querySelectorAll("pre, pre > code, .table-wrapper, .katex-display, .docblock > div")) {
            const isWide = box.scrollWidth > box.clientWidth + 1 && /auto|scroll/.test(getComputedStyle(box).overflowX);
            if (isWide && !box.hasAttribute("tabindex")) {
                box.tabIndex = 0;
            } else if (!isWide && box.tabIndex === 0) {
                box.removeAttribute("tabindex");
            }
        }
    };
    reach();
    addEventListener("resize", reach);
});
addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("mdbook-sidebar-toggle");
    button?.setAttribute("role", "button");
    button?.setAttribute("tabindex", "0");
    button?.addEventListener("keydown", (event) => {
        if (event.key === "Enter" || event.key === " ") {
            event.preventDefault();
            button.click();
        }
    });
});
