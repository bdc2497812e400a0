// Plays the picture of a network that learns: shows one moment after the other of each of its pictures.
"use strict";
document.addEventListener("DOMContentLoaded", () => {
    const figure = document.querySelector(".learning");
    if (figure === null) {
        return;
    }
    const pictures = [...figure.querySelectorAll("svg")].map((picture) => [...picture.querySelectorAll(".moment")]);
    const [controls, button, slider] = [".controls", "button", "input"].map((part) => figure.querySelector(part));
    const last = pictures[0].length - 1;
    let [shown, timer] = [last, undefined];

    const show = (index) => {
        shown = index;
        for (const moments of pictures) {
            moments.forEach((moment, at) => moment.setAttribute("display", at === index ? "inline" : "none"));
        }
        for (const part of figure.querySelectorAll("[data-part]")) {
            part.textContent = pictures[0][index].dataset[part.dataset.part];
        }
        slider.value = index;
        slider.setAttribute("aria-valuetext", figure.querySelector(".now").textContent);
    };
    const pause = () => {
        clearInterval(timer);
        timer = undefined;
        button.classList.remove("playing");
    };
    const play = () => {
        show(shown === last ? 0 : shown);
        button.classList.add("playing");
        timer = setInterval(() => (shown === last ? pause() : show(shown + 1)), 250);
    };

    slider.max = last;
    slider.addEventListener("input", () => {
        pause();
        show(Number(slider.value));
    });
    button.addEventListener("click", () => (timer === undefined ? play() : pause()));
    controls.hidden = false;
    show(last);
    if (!matchMedia("(prefers-reduced-motion: reduce)").matches) {
        play();
    }
});
