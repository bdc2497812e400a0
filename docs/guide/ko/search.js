// Searches the Korean guide. mdBook's index drops every letter that is neither Latin nor a digit, and Korean words end
// in particles; so this looks for the words as they are typed in the text that the index holds anyway.
"use strict";
elasticlunr.Index.prototype.search = function (query) {
    const words = query.toLowerCase().split(/\s+/).filter((word) => word !== "");
    const results = [];
    for (const [ref, doc] of Object.entries(this.documentStore.docs)) {
        const [title, above, body] = [doc.title, doc.breadcrumbs, doc.body].map((text) => text.toLowerCase());
        const score = (word) =>
            10 * title.includes(word) + 2 * above.includes(word) + Math.min(body.split(word).length - 1, 5);
        const scores = words.map(score);
        if (words.length > 0 && scores.every((score) => score > 0)) {
            results.push({ ref, doc, score: scores.reduce((sum, score) => sum + score) });
        }
    }
    return results.sort((a, b) => b.score - a.score);
};
