#!/usr/bin/env python3
"""Prints the constants of src/math/f32.rs and src/math/f64.rs, or tells whether those files hold them.

    python3 tools/minimax.py [--check]          # needs mpmath and numpy

Each polynomial is the minimax one: of all polynomials of its degree it has the least largest *weighted* error on
its interval, found by the exchange algorithm of Remez. The weight turns the error of the polynomial into the
relative error of the function that is computed from it. The error that is printed is that of the rounded
coefficients.
"""

import contextlib
import io
import pathlib
import re
import sys

import mpmath as mp
import numpy as np

mp.mp.prec = 300
TINY = mp.mpf(2) ** -60  # stands for 0 where the quotients that are fitted are not defined there


def solve(g, w, nodes, degree):
    """The polynomial p and the level e with w(x)·(p(x) − g(x)) = ±e, alternating over the nodes."""
    rows = mp.matrix(degree + 2, degree + 2)
    right = mp.matrix(degree + 2, 1)
    for i, x in enumerate(nodes):
        for power in range(degree + 1):
            rows[i, power] = w(x) * x**power
        rows[i, degree + 1] = (-1) ** i
        right[i] = w(x) * g(x)
    solution = mp.lu_solve(rows, right)
    return list(solution[: degree + 1]), abs(solution[degree + 1])


def remez(g, w, low, high, degree):
    """The minimax polynomial, lowest coefficient first."""

    def chebyshev(count):
        return [low + (high - low) * (1 - mp.cos(mp.pi * i / (count - 1))) / 2 for i in range(count)]

    grid = [(x, g(x), w(x)) for x in chebyshev(48 * (degree + 2))]
    nodes = [grid[48 * i + 24][0] for i in range(degree + 2)]
    for _ in range(30):
        p, level = solve(g, w, nodes, degree)
        errors = [(x, weight * (mp.polyval(p[::-1], x) - value)) for x, value, weight in grid]
        if max(abs(e) for _, e in errors) <= level * mp.mpf("1.001"):
            return p
        # The largest error of each run of equal sign; where there are too many, the smaller end goes.
        peaks = []
        for x, e in errors:
            if not peaks or (peaks[-1][1] > 0) != (e > 0):
                peaks.append((x, e))
            elif abs(e) > abs(peaks[-1][1]):
                peaks[-1] = (x, e)
        while len(peaks) > degree + 2:
            peaks.pop(0 if abs(peaks[0][1]) < abs(peaks[-1][1]) else -1)
        nodes = [x for x, _ in peaks]
    raise ArithmeticError("the exchange did not converge")


def literal(c):
    return np.format_float_positional(c) if abs(c) >= 1e-3 else np.format_float_scientific(c, exp_digits=1)


def array(values):
    return "[" + ", ".join(literal(v) for v in values) + "]"


def polynomial(kind, name, comment, g, w, low, high, degree, split=False):
    """Prints one array of coefficients, or two: those of the even powers and those of the odd ones."""
    rust = "f32" if kind is np.float32 else "f64"
    coefficients = [kind(float(c)) for c in remez(g, w, low, high, degree)]
    exact = [mp.mpf(float(c)) for c in coefficients][::-1]
    error = max(abs(w(x) * (mp.polyval(exact, x) - g(x))) for x in mp.linspace(low, high, 4000))
    start = "0" if low == TINY else mp.nstr(low, 3)
    print(f"/// {comment}; relative error 2^{mp.nstr(mp.log(error, 2), 3)} for {start} ≤ x ≤ {mp.nstr(high, 4)}.")
    if split:
        print(f"const {name}: [[{rust}; {(degree + 1) // 2}]; 2] = [{array(coefficients[::2])}, {array(coefficients[1::2])}];")
    else:
        print(f"const {name}: [{rust}; {degree + 1}] = {array(coefficients)};")


def parts(kind, name, value, places):
    """Prints `value` as a sum of numbers: each but the last ends at that many binary places."""
    numbers = []
    for p in places:
        numbers.append(mp.nint(value * 2**p) / mp.mpf(2) ** p)
        value -= numbers[-1]
    numbers.append(value)
    rust = "f32" if kind is np.float32 else "f64"
    print(f"const {name}: [{rust}; {len(numbers)}] = {array([kind(float(n)) for n in numbers])};")


def main():
    half = mp.log(2) / 2 * mp.mpf("1.0001")
    eighth = mp.pi / 4 * mp.mpf("1.0001")
    root = (mp.sqrt(2) - 1) / (mp.sqrt(2) + 1)
    for kind, exp, ln, sin, cos, erf, one, n_bits in [
        (np.float32, 5, 3, 2, 2, 9, "3.95", 8),
        (np.float64, 10, 6, 5, 5, 25, "5.95", 11),
    ]:
        print(f"\n// {kind.__name__}")
        digits = 24 if kind is np.float32 else 53
        parts(kind, "LN_2", mp.log(2), [digits - n_bits])
        if kind is np.float32:
            parts(np.float64, "HALF_PI", mp.pi / 2, [28])
        else:
            parts(np.float64, "HALF_PI", mp.pi / 2, [26, 53, 80])
        polynomial(
            kind, "EXP", "(eˣ − 1 − x)/x²",
            lambda x: (mp.expm1(x) - x) / x**2, lambda x: abs(x**2 / mp.expm1(x)), -half, half, exp,
        )
        polynomial(
            kind, "LN", "(2·artanh(√x) − 2√x)/√x³",
            lambda x: 2 * (mp.atanh(mp.sqrt(x)) - mp.sqrt(x)) / mp.sqrt(x) ** 3, lambda x: x / 2, TINY, root**2, ln,
        )
        polynomial(
            kind, "SIN", "(√x − sin √x)/√x³",
            lambda x: (mp.sqrt(x) - mp.sin(mp.sqrt(x))) / mp.sqrt(x) ** 3, lambda x: x, TINY, eighth**2, sin,
        )
        polynomial(
            kind, "COS", "(cos √x − 1 + x/2)/x²",
            lambda x: (mp.cos(mp.sqrt(x)) - 1 + x / 2) / x**2, lambda x: x**2, TINY, eighth**2, cos,
        )
        polynomial(
            kind, "ERF", "−ln(1 − erf x)/x − 1",
            lambda x: -mp.log(mp.erfc(x)) / x - 1, lambda x: x * mp.erfc(x) / mp.erf(x), TINY, mp.mpf(one), erf, True,
        )


def constants(text):
    """Declarations of constant arrays, without the layout that rustfmt gives them."""
    found = re.findall(r"const \w+: \[[^=]*= \[.*?\];", text, re.DOTALL)
    return {re.sub(r"[\s]|,(?=\s*\])", "", declaration) for declaration in found}


def check():
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        main()
    single, double = printed.getvalue().split("// float64")
    folder = pathlib.Path(__file__).parent.parent / "src" / "math"
    for text, file in [(single, "f32.rs"), (double, "f64.rs")]:
        missing = constants(text) - constants((folder / file).read_text())
        if missing:
            sys.exit(f"{file} lacks {missing}")


if sys.argv[1:] == ["--check"]:
    check()
else:
    main()
