// The front page: a card for each of the others.
import { lead, make, page, t } from "./page.js";

const PICTURES = {
    descent: '<path d="M0 20C60 130 130 130 170 96S250 20 320 8" fill="none" stroke="var(--line)" stroke-width="3"/><path d="M22 52L66 94L98 108L122 110" fill="none" stroke="var(--second)" stroke-width="2" stroke-dasharray="4 4"/><circle cx="22" cy="52" r="5" fill="var(--second)"/><circle cx="66" cy="94" r="5" fill="var(--second)"/><circle cx="98" cy="108" r="5" fill="var(--second)"/><circle cx="124" cy="111" r="6" fill="var(--accent)"/>',
    network: '<g stroke="var(--line)" stroke-width="2"><path d="M70 40L160 25M70 40L160 60M70 40L160 95M70 85L160 25M70 85L160 60M70 85L160 95M160 25L250 60M160 60L250 60M160 95L250 60"/></g><g fill="var(--first)"><circle cx="70" cy="40" r="9"/><circle cx="70" cy="85" r="9"/></g><g fill="var(--accent)"><circle cx="160" cy="25" r="9"/><circle cx="160" cy="60" r="9"/><circle cx="160" cy="95" r="9"/></g><circle cx="250" cy="60" r="9" fill="var(--second)"/>',
    chain: '<g font-family="monospace" font-size="17" text-anchor="middle"><rect x="22" y="34" width="76" height="46" rx="9" fill="none" stroke="var(--line)" stroke-width="2"/><rect x="122" y="34" width="76" height="46" rx="9" fill="none" stroke="var(--line)" stroke-width="2"/><rect x="222" y="34" width="76" height="46" rx="9" fill="none" stroke="var(--line)" stroke-width="2"/><text x="60" y="63" fill="var(--text)">w · x</text><text x="160" y="63" fill="var(--text)">tanh</text><text x="260" y="63" fill="var(--text)">J</text></g><path d="M98 50h24M198 50h24" stroke="var(--text)" stroke-width="2"/><path d="M222 68h-24M122 68h-24" stroke="var(--second)" stroke-width="2"/>',
    digits: '<path d="M132 30c18-16 50-8 46 14c-3 16-22 14-26 15c14-2 34 4 30 24c-4 22-40 22-52 6" fill="none" stroke="var(--accent)" stroke-width="9" stroke-linecap="round"/>',
};

page("", (main) => {
    const cards = Object.entries(PICTURES).map(([name, picture]) => {
        const card = make("a", { class: "panel", href: `${name}.html`, "data-card": name });
        card.innerHTML = `<svg viewBox="0 0 320 118" aria-hidden="true">${picture}</svg>`;
        card.append(make("strong", {}, t(`page.${name}`)), make("span", { class: "quiet" }, t(`card.${name}`)));
        return card;
    });
    main.append(...lead("index"), make("div", { class: "cards" }, cards));
});
