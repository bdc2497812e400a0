#!/usr/bin/env python3
"""Prints tests/data/math_f64.csv: values of the elementary functions, correctly rounded.

    python3 tools/math_fixture.py > tests/data/math_f64.csv          # needs mpmath

Each line is a function, the bits of x, the bits of the number nearest to f(x), and what that number lacks,
in units of its last place.
"""

import math
import random
import struct

import mpmath as mp

mp.mp.prec = 400  # sin and cos cancel up to 120 bits of it
random.seed(1)

# Where the largest errors were met in a search of twenty million arguments.
HARD = {
    "exp": ["4081e744faa5e061", "4069c7305c59e8b2", "400e85a677d9510c", "bff070e40d5d6e94"],
    "exp_m1": ["3fd678504d9eaac4", "3fd727706580e834", "3fd6713ed003db4c", "404291da1bb93c92"],
    "ln": ["3ff6588658a4844d", "3ff699507493eb4b", "3ff6683f610c3ba9", "3fe6a0941e70f81e"],
    "ln_1p": ["bc90012241d6e633", "bc9000c0d4466123", "bc90007592f79891", "bc90006e72a61b2d"],
    "tanh": ["3fcb23aaf313dc60", "3fcc0c48012d6c54", "3fcb8aea3f31c158", "3fcb940f7d500513"],
    "sigmoid": ["bff23a778b332bba", "bff22c0cc00e0377", "bff1d18010efe1ba", "bff21f2539b802d5"],
    "softplus": ["bfdc0f4f6201a4ac", "bfdc249a2ad15544", "bfdc457003e71588", "bfe7e327086cb282"],
    "erf": ["bfccb3af1ec9b548", "3fcc8ee9ba7664b8", "bfcc05f036e80c4b", "bfcb937399493c88"],
    "sin": ["c197cde79972dd86", "4194fbb13d400a3a", "c18b6d4f7cf35b02", "c19728289c4615d9"],
    "cos": ["4194ed387db0406f", "4196182bcc7ca16b", "418daa9c3da04b6f", "c196e5dd108409bb"],
}

FUNCTIONS = {
    "exp": mp.exp,
    "exp_m1": mp.expm1,
    "ln": mp.log,
    "ln_1p": mp.log1p,
    "tanh": mp.tanh,
    "sigmoid": lambda x: 1 / (1 + mp.exp(-x)),
    "softplus": lambda x: mp.log1p(mp.exp(x)),
    "erf": mp.erf,
    "sin": mp.sin,
    "cos": mp.cos,
}


def bits(x):
    return struct.pack(">d", x).hex()


def number(text):
    return struct.unpack(">d", bytes.fromhex(text))[0]


def uniform(low, high):
    return lambda: random.uniform(low, high)


def powers(low, high, center=0.0):
    """±2^u beside the center."""
    return lambda: center + random.choice([-1, 1]) * 2 ** random.uniform(low, high)


def magnitude():
    """Any positive number, subnormal ones included."""
    return number(f"{random.randrange(1, 0x7FF0000000000000):016x}")


def subnormal():
    return number(f"{random.randrange(1, 1 << 52):016x}")


def near_multiple():
    """A number beside a multiple of π/2."""
    x = random.randrange(1, 60_000_000) * (math.pi / 2)
    return random.choice([x, math.nextafter(x, 0), math.nextafter(x, math.inf)])


RANGES = {
    "exp": [uniform(-745, 709.7), uniform(-1, 1), powers(-60, 0), uniform(-745, -708)],
    "exp_m1": [uniform(-40, 1), uniform(0, 709.7), uniform(-1, 1), powers(-1074, 0)],
    "ln": [magnitude, uniform(0.3, 3), powers(-52, -1, 1.0), subnormal],
    "ln_1p": [uniform(-1, 1), magnitude, powers(-1074, -2), lambda: -1 + 2 ** random.uniform(-52, -1)],
    "tanh": [uniform(-20, 20), uniform(-1, 1), powers(-1074, 0), uniform(0.1, 0.3)],
    "sigmoid": [uniform(-745, 40), uniform(-3, 3), powers(-60, 0), uniform(-745, -708)],
    "softplus": [uniform(-745, 40), uniform(-3, 3), powers(-60, 0), uniform(-745, -708)],
    "erf": [uniform(-6, 6), uniform(-1, 1), powers(-1074, 0), uniform(-3, 3)],
    "sin": [uniform(-1e8, 1e8), uniform(-10, 10), powers(-1074, 0), near_multiple],
    "cos": [uniform(-1e8, 1e8), uniform(-10, 10), powers(-60, 0), near_multiple],
}


def line(name, x):
    value = FUNCTIONS[name](mp.mpf(x))
    exponent = max(math.frexp(float(value))[1] - 53, -1074)
    place = mp.ldexp(1, exponent)
    nearest = mp.nint(value / place)
    y = math.ldexp(int(nearest), exponent)
    # The last place of y itself, where rounding has carried it to a power of two.
    place = mp.ldexp(1, max(math.frexp(y)[1] - 53, -1074))
    return f"{name},{bits(x)},{bits(y)},{mp.nstr((value - mp.mpf(y)) / place, 4)}"


def main():
    for name in FUNCTIONS:
        points = [number(text) for text in HARD[name]]
        points += [sample() for sample in RANGES[name] for _ in range(50)]
        for x in points:
            if x != 0 and math.isfinite(x):
                print(line(name, x))


main()
