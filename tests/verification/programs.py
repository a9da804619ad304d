"""Random tables and programs of one variable, and what they are in 64-bit mantissas or 50 digits.

What is stored is the numbers next to those of the true function, as in `jaxid.tracing.graph`:
slopes and constants are off by up to a unit in the last place, places by their spread, constants
lie somewhere between their least and largest.
"""

from __future__ import annotations

from types import SimpleNamespace

import mpmath
import numpy as np

from jaxid.tracing.graph import Instruction, Table

LONG = np.longdouble
ROOMY = np.finfo(LONG).eps < 1e-18
"""Whether there is a type with more digits than float64, which makes rounding visible."""


def nearby(rng, stored):
    """Numbers at most one unit in the last place from those stored; 0 stays 0."""
    step = np.spacing(np.abs(stored)) * (stored != 0)
    below = step / np.where(np.frexp(np.abs(stored))[0] == 0.5, 2, 1)  # the gap halves there
    share = rng.uniform(-1, 1, stored.shape)
    outward = np.sign(stored) * share > 0
    return LONG(stored) + LONG(share) * LONG(np.where(outward, step, below))


def table(rng, count, width=1, unit=1.0, spacing=1.0):
    """(stored, true) functions of ``count`` places: jumps, kinks, points of their own, exact
    places and others, z of size ``spacing`` and values of size ``unit``."""
    places = np.sort(rng.normal(size=(count, width)) * 2 * spacing, axis=0)
    rounded = np.where(rng.uniform(size=places.shape) < 0.2, np.round(places, 1), places)
    if np.all(np.diff(rounded, axis=0) > 0):
        places = rounded
    spread = np.abs(places) * 10.0 ** rng.uniform(-16, -9, places.shape)
    spread = np.where(rng.uniform(size=places.shape) < 0.4, 0.0, spread)
    kind = rng.uniform(size=(count + 1, width))
    slopes = np.where(kind < 0.25, 0.0, rng.normal(size=kind.shape) * unit / spacing)
    constants = np.where(kind > 0.9, 0.0, rng.normal(size=kind.shape) * unit)
    continuous = rng.uniform(size=places.shape) < 0.5
    for j in range(count):
        # Its own rounding, as where a kink was found by solving for it.
        meeting = constants[j] + (slopes[j] - slopes[j + 1]) * places[j]
        constants[j + 1] = np.where(continuous[j], meeting, constants[j + 1])
    left = slopes[:-1] * places + constants[:-1]
    own = np.where(rng.uniform(size=places.shape) < 0.3, rng.normal(size=places.shape) * unit, left)
    values = np.where(continuous, left, own)
    stored = Table(places, spread, slopes, constants, values)
    moved = LONG(places) + LONG(rng.uniform(-1, 1, places.shape)) * LONG(spread)
    moved = np.where(np.all(np.diff(moved, axis=0) > 0), moved, LONG(places))
    true = Table(moved, spread, *(nearby(rng, part) for part in stored[2:]))
    return stored, true


def of_table(true, z):
    """p(z), (S, n), of the true table."""
    found = true.slopes[0] * z + true.constants[0]
    for j, place in enumerate(true.places):
        found = np.where(z > place, true.slopes[j + 1] * z + true.constants[j + 1], found)
        found = np.where(z == place, true.values[j], found)
    return found


def _series_erf(z):
    """erf near 0: a series of positive terms."""
    total = term = np.ones_like(z)
    for n in range(1, 120):
        term = term * 2 * z * z / (2 * n + 1)
        total = total + term
    return 2 / np.sqrt(LONG(np.pi) + LONG(1.2246467991473532e-16)) * z * np.exp(-z * z) * total


def _tail(z):
    """erfc from 2 on: its continued fraction."""
    found = z
    for n in range(200, 0, -1):
        found = z + LONG(n) / 2 / found
    return np.exp(-z * z) / found / np.sqrt(LONG(np.pi) + LONG(1.2246467991473532e-16))


def _erf(z):
    size = np.abs(z)
    near = _series_erf(np.minimum(size, 3))
    return np.sign(z) * np.where(size < 3, near, 1 - _tail(np.maximum(size, 2)))


def _erfc(z):
    return np.where(z > 2, _tail(np.maximum(z, 2)), 1 - _erf(z))


def _truth(holds):
    return lambda f: np.where(np.isnan(f), f, LONG(1) * holds(f))


WIDE = SimpleNamespace(
    exp=np.exp, exp2=np.exp2, expm1=np.expm1, log=np.log, log1p=np.log1p, sqrt=np.sqrt,
    rsqrt=lambda z: 1 / np.sqrt(z), cbrt=np.cbrt, tanh=np.tanh, erf=_erf, erfc=_erfc,
    logistic=lambda z: np.where(z < 0, np.exp(z) / (1 + np.exp(z)), 1 / (1 + np.exp(-z))),
    softplus=lambda z: np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z))), sin=np.sin, cos=np.cos,
    sinh=np.sinh, cosh=np.cosh, asin=np.arcsin, acos=np.arccos, atan=np.arctan, asinh=np.arcsinh,
    acosh=np.arccosh, atanh=np.arctanh, reciprocal=lambda z: 1 / z, floor=np.floor,
    max=np.maximum, min=np.minimum, within=lambda f: f, mul=lambda f, g: f * g,
    select=lambda which, off, on: np.where(np.isnan(which), which, np.where(which > 0.5, on, off)),
    positive=_truth(lambda f: f > 0), natural=_truth(lambda f: f >= 0),
    zero=_truth(lambda f: f == 0),
)  # fmt: skip
"""What instructions do to NumPy's long numbers."""
DIGITS = {
    "exp": mpmath.exp, "exp2": lambda z: mpmath.mpf(2) ** z, "expm1": mpmath.expm1,
    "log": mpmath.log, "log1p": mpmath.log1p, "sqrt": mpmath.sqrt,
    "rsqrt": lambda z: 1 / mpmath.sqrt(z), "tanh": mpmath.tanh, "erf": mpmath.erf,
    "cbrt": lambda z: mpmath.sign(z) * mpmath.cbrt(abs(z)), "erfc": mpmath.erfc,
    "logistic": lambda z: 1 / (1 + mpmath.exp(-z)), "sin": mpmath.sin, "cos": mpmath.cos,
    "softplus": lambda z: mpmath.log1p(mpmath.exp(z)), "sinh": mpmath.sinh, "cosh": mpmath.cosh,
    "asin": mpmath.asin, "acos": mpmath.acos, "atan": mpmath.atan, "asinh": mpmath.asinh,
    "acosh": mpmath.acosh, "atanh": mpmath.atanh,
}  # fmt: skip
"""The functions that are known by name, to mpmath's precision."""


def of_program(program, constants, tables, z):
    """g(z), (S, n) long, of true constants (c,) and true tables."""
    found = []
    with np.errstate(all="ignore"):
        for step in program:
            operands = [found[k] for k in step.operands]
            if step.name == "pieces":
                found.append(of_table(tables[step.numbers[0]], z))
            elif step.name == "sum":
                found.append(
                    sum(constants[k] * f for k, f in zip(step.numbers, operands, strict=True))
                )
            elif step.name == "power":
                found.append(operands[0] ** step.power)
            else:
                found.append(getattr(WIDE, step.name)(*operands))
    return found[-1]


def exactly(number):
    """A long number as mpmath's."""
    high = float(number)
    return mpmath.mpf(high) + mpmath.mpf(float(number - LONG(high)))


def in_digits(program, constants, tables, z):
    """g(z) of one number of mpmath's, of true constants and tables of one column."""
    found = []
    for step in program:
        operands = [found[k] for k in step.operands]
        f = operands[0] if operands else None
        if step.name == "pieces":
            true = tables[step.numbers[0]]
            places = [exactly(place) for place in true.places[:, 0]]
            j = sum(place < z for place in places)
            if z in places:
                g = exactly(true.values[j, 0])
            else:
                g = exactly(true.slopes[j, 0]) * z + exactly(true.constants[j, 0])
        elif step.name == "sum":
            factors = [exactly(constants[k]) for k in step.numbers]
            g = sum(c * g for c, g in zip(factors, operands, strict=True))
        elif step.name in DIGITS:
            g = mpmath.re(DIGITS[step.name](f))
        else:
            g = {
                "mul": lambda f, g: f * g, "max": max, "min": min, "floor": mpmath.floor,
                "reciprocal": lambda f: 1 / f, "within": lambda f: f,
                "power": lambda f, n=step.power: f**n,
                "select": lambda which, off, on: on if which == 1 else off,
                "positive": lambda f: mpmath.mpf(f > 0), "natural": lambda f: mpmath.mpf(f >= 0),
                "zero": lambda f: mpmath.mpf(f == 0),
            }[step.name](*operands)  # fmt: skip
        found.append(g)
    return found[-1]


BINARY = ("mul", "max", "min", "sum", "sum", "select")
UNARY = ("power", "reciprocal", "floor", "positive", "natural", "zero", "within", *DIGITS)


def program(rng, length, leaves=3, constants=6):
    """Random instructions on ``leaves`` tables: the first ones, then ``length`` of any kind, of
    which each is made of the last one and of another."""
    steps = [Instruction("pieces", (), (k,)) for k in range(leaves)]
    truths = [False] * leaves
    for _ in range(length):
        last, other = len(steps) - 1, int(rng.integers(len(steps)))
        if rng.uniform() < 0.45:
            name = str(rng.choice(BINARY))
            picked = tuple(int(k) for k in rng.integers(constants, size=2))
            if name == "select" and not any(truths):
                name = "max"
            if name == "select":
                which = int(rng.choice(np.flatnonzero(truths)))
                steps.append(Instruction(name, (which, other, last)))
            else:
                steps.append(Instruction(name, (last, other), picked if name == "sum" else ()))
        else:
            name = str(rng.choice(UNARY))
            power = int(rng.integers(2, 6)) if name == "power" else 0
            # The last two constants are ends that much lies within.
            ends = (constants, constants + 1) if name == "within" else ()
            steps.append(Instruction(name, (last,), ends, power))
        truths.append(steps[-1].name in ("positive", "natural", "zero"))
    return tuple(steps)


def numbers(rng, count=6, unit=1.0):
    """((least, largest) of constants, (count + 2, 2), true ones, long)."""
    middle = np.where(rng.uniform(size=count) < 0.4, rng.choice([1.0, -1.0, 0.5], count),
                      rng.normal(size=count) * unit)  # fmt: skip
    off = np.abs(middle) * np.where(rng.uniform(size=count) < 0.5, 0.0, 1e-8)
    stored = np.stack([middle - off, middle + off], axis=1)
    true = LONG(stored[:, 0]) + LONG(rng.uniform(0, 1, count)) * (LONG(stored[:, 1]) - stored[:, 0])
    ends = np.array([[-3.0, -3.0], [50.0, 50.0]])
    return np.concatenate([stored, ends]), np.concatenate([true, LONG(ends[:, 0])])
