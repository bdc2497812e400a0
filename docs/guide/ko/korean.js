// What the Korean guide needs of its pages beyond what mdBook does.
"use strict";

// mdBook's index drops every letter that is neither Latin nor a digit, and Korean words end in particles; so the words
// are looked for as they are typed, in the text that the index holds anyway.
elasticlunr.Index.prototype.search = function (query) {
    const words = query.toLowerCase().split(/\s+/).filter((word) => word !== "");
    const results = [];
    for (const [ref, doc] of Object.entries(this.documentStore.docs)) {
        const [title, above, body] = [doc.title, doc.breadcrumbs, doc.body].map((text) => text.toLowerCase());
        const scores = words.map((word) =>
            10 * title.includes(word) + 2 * above.includes(word) + Math.min(body.split(word).length - 1, 5));
        if (words.length > 0 && scores.every((score) => score > 0)) {
            results.push({ ref, doc, score: scores.reduce((sum, score) => sum + score) });
        }
    }
    return results.sort((a, b) => b.score - a.score);
};
