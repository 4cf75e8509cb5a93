"""What the standard says of zeros, infinities and NaN, over EmberTensor on every engine.

The tables are written from the text of the Array API standard 2024.12, section by section; complex square
roots of infinities are C99's (Annex G), where that text contradicts itself and later ones mend it.
"""

import itertools
import math

import numpy as np
import pytest

from ember_ml import array_api as xp

NAN, INF, PI = math.nan, math.inf, math.pi
WORDS = {"nan": NAN, "inf": INF, "pi": PI, "pi/2": PI / 2, "pi/4": PI / 4, "3pi/4": 3 * PI / 4}

# argument:result. A result is compared with the sign of zero; what only approximates is close.
REAL = {
    "abs": "nan:nan -0:0 -inf:inf",
    "acos": "nan:nan 1.5:nan inf:nan -1.5:nan -inf:nan 1:0",
    "acosh": "nan:nan 0.5:nan -inf:nan 1:0 inf:inf",
    "asin": "nan:nan 1.5:nan -1.5:nan inf:nan 0:0 -0:-0",
    "asinh": "nan:nan 0:0 -0:-0 inf:inf -inf:-inf",
    "atan": "nan:nan 0:0 -0:-0 inf:pi/2 -inf:-pi/2",
    "atanh": "nan:nan -1.5:nan 1.5:nan inf:nan -1:-inf 1:inf 0:0 -0:-0",
    "ceil": "inf:inf -inf:-inf 0:0 -0:-0 nan:nan 3:3 -0.5:-0",
    "cos": "nan:nan 0:1 -0:1 inf:nan -inf:nan",
    "cosh": "nan:nan 0:1 -0:1 inf:inf -inf:inf",
    "exp": "nan:nan 0:1 -0:1 inf:inf -inf:0",
    "expm1": "nan:nan 0:0 -0:-0 inf:inf -inf:-1",
    "floor": "inf:inf -inf:-inf 0:0 -0:-0 nan:nan 3:3 -0.5:-1",
    "log": "nan:nan -1:nan -inf:nan 0:-inf -0:-inf 1:0 inf:inf",
    "log10": "nan:nan -1:nan -inf:nan 0:-inf -0:-inf 1:0 inf:inf",
    "log1p": "nan:nan -2:nan -inf:nan -1:-inf -0:-0 0:0 inf:inf",
    "log2": "nan:nan -1:nan -inf:nan 0:-inf -0:-inf 1:0 inf:inf",
    "negative": "0:-0 -0:0 inf:-inf nan:nan",
    "reciprocal": "0:inf -0:-inf inf:0 -inf:-0 nan:nan",
    "round": "inf:inf -inf:-inf 0:0 -0:-0 nan:nan 0.5:0 1.5:2 2.5:2 -0.5:-0 -2.5:-2",
    "sign": "-3:-1 -inf:-1 0:0 -0:0 3:1 inf:1 nan:nan",
    "sin": "nan:nan 0:0 -0:-0 inf:nan -inf:nan",
    "sinh": "nan:nan 0:0 -0:-0 inf:inf -inf:-inf",
    "sqrt": "nan:nan -1:nan -inf:nan 0:0 -0:-0 inf:inf",
    "square": "-0:0 -inf:inf nan:nan",
    "tan": "nan:nan 0:0 -0:-0 inf:nan -inf:nan",
    "tanh": "nan:nan 0:0 -0:-0 inf:1 -inf:-1",
    "trunc": "inf:inf -inf:-inf 0:0 -0:-0 nan:nan -0.5:-0",
}
TRUTHS = {
    "isfinite": "inf:0 -inf:0 nan:0 1:1 -0:1",
    "isinf": "inf:1 -inf:1 nan:0 1:0",
    "isnan": "nan:1 inf:0 0:0",
    "signbit": "0:0 -0:1 inf:0 -inf:1 2:0 -2:1",
}
# Real and imaginary part -> real and imaginary part; "fin" stands for nonzero finite numbers, "pos" for
# positive ones, "+-" for a sign that is not specified, "k*cis" for k cos(b) and k sin(b).
COMPLEX = {
    "abs": """
        inf|-inf 0|1|nan|inf -> inf 0;  0|1|nan inf|-inf -> inf 0;  nan 0|1 -> nan 0;  0|1 nan -> nan 0
        nan nan -> nan 0;  0|-0 -2 -> 2 0""",
    "acos": """
        0|-0 0 -> pi/2 -0;  0|-0 nan -> pi/2 nan;  0|fin inf -> pi/2 -inf;  fin nan -> nan nan
        -inf pos -> pi -inf;  inf pos -> 0 -inf;  -inf inf -> 3pi/4 -inf;  inf inf -> pi/4 -inf
        inf|-inf nan -> nan +-inf;  nan 0|fin -> nan nan;  nan inf -> nan -inf;  nan nan -> nan nan""",
    "acosh": """
        0|-0 0 -> 0 pi/2;  0|fin inf -> inf pi/2;  fin nan -> nan nan;  0 nan -> nan +-pi/2
        -inf pos -> inf pi;  inf pos -> inf 0;  -inf inf -> inf 3pi/4;  inf inf -> inf pi/4
        inf|-inf nan -> inf nan;  nan 0|fin -> nan nan;  nan inf -> inf nan;  nan nan -> nan nan""",
    "asinh": """
        0 0 -> 0 0;  pos inf -> inf pi/2;  0|fin nan -> nan nan;  inf pos -> inf 0;  inf inf -> inf pi/4
        nan 0 -> nan 0;  nan fin -> nan nan;  nan inf -> +-inf nan;  nan nan -> nan nan""",
    "atanh": """
        0 0 -> 0 0;  0 nan -> 0 nan;  1 0 -> inf 0;  pos inf -> 0 pi/2;  fin nan -> nan nan
        inf pos -> 0 pi/2;  inf inf -> 0 pi/2;  inf nan -> 0 nan;  nan 0|fin -> nan nan
        nan inf -> +-0 pi/2;  nan nan -> nan nan""",
    "cosh": """
        0 0 -> 1 0;  0 inf -> nan +-0;  0 nan -> nan +-0;  fin inf -> nan nan;  fin nan -> nan nan
        inf 0 -> inf 0;  inf fin -> inf*cis;  inf inf -> +-inf nan;  inf nan -> inf nan
        nan 0|-0 -> nan +-0;  nan fin -> nan nan;  nan nan -> nan nan""",
    "exp": """
        0|-0 0 -> 1 0;  0|fin inf -> nan nan;  0|fin nan -> nan nan;  inf 0 -> inf 0;  -inf 0|fin -> 0*cis
        inf fin -> inf*cis;  -inf inf -> +-0 +-0;  inf inf -> +-inf nan;  -inf nan -> +-0 +-0
        inf nan -> +-inf nan;  nan 0 -> nan 0;  nan fin -> nan nan;  nan nan -> nan nan""",
    "expm1": """
        0|-0 0 -> 0 0;  0|fin inf -> nan nan;  0|fin nan -> nan nan;  inf 0 -> inf 0;  -inf 0|fin -> 0*cis-1
        inf fin -> inf*cis;  -inf inf -> -1 +-0;  inf inf -> +-inf nan;  -inf nan -> -1 +-0
        inf nan -> +-inf nan;  nan 0 -> nan 0;  nan fin -> nan nan;  nan nan -> nan nan""",
    "log": """
        -0 0 -> -inf pi;  0 0 -> -inf 0;  0|fin inf -> inf pi/2;  0|fin nan -> nan nan;  -inf pos -> inf pi
        inf pos -> inf 0;  -inf inf -> inf 3pi/4;  inf inf -> inf pi/4;  inf|-inf nan -> inf nan
        nan 0|fin -> nan nan;  nan inf -> inf nan;  nan nan -> nan nan""",
    "log1p": """
        -1 0 -> -inf 0;  0|fin inf -> inf pi/2;  0|fin nan -> nan nan;  -inf pos -> inf pi;  inf pos -> inf 0
        -inf inf -> inf 3pi/4;  inf inf -> inf pi/4;  inf|-inf nan -> inf nan;  nan 0|fin -> nan nan
        nan inf -> inf nan;  nan nan -> nan nan""",
    "sign": "0|-0 0|-0 -> 0 0;  nan 0|fin|nan -> nan nan;  fin nan -> nan nan",
    "sinh": """
        0 0 -> 0 0;  0 inf -> +-0 nan;  0 nan -> +-0 nan;  pos inf -> nan nan;  pos nan -> nan nan
        inf 0 -> inf 0;  inf pos -> inf*cis;  inf inf -> +-inf nan;  inf nan -> +-inf nan;  nan 0 -> nan 0
        nan fin -> nan nan;  nan nan -> nan nan""",
    "sqrt": """
        0|-0 0 -> 0 0;  0|fin|inf|-inf|nan inf -> inf inf;  0|fin nan -> nan nan;  -inf pos -> 0 inf
        inf pos -> inf 0;  -inf nan -> nan +-inf;  inf nan -> inf nan;  nan 0|fin|nan -> nan nan""",
    "tanh": """
        0 0 -> 0 0;  fin inf -> nan nan;  0 inf -> 0 nan;  fin nan -> nan nan;  0 nan -> 0 nan
        inf pos -> 1 0;  inf inf -> 1 +-0;  inf nan -> 1 +-0;  nan 0 -> nan 0;  nan fin -> nan nan
        nan nan -> nan nan""",
    "round": "inf nan -> inf nan;  0.5 -2.5 -> 0 -2;  -0 0 -> -0 0",
}  # fmt: skip
TURNED = {"asin": "asinh", "atan": "atanh", "sin": "sinh", "tan": "tanh"}  # f(z) = -j g(jz); cos z = cosh jz
MIRRORED = {*COMPLEX, *TURNED, "cos", "log2", "log10"} - {"abs", "sign", "round"}  # f(conj z) = conj f(z)
STANDS_FOR = {"fin": (1.0, -1.0, 2.5), "pos": (1.0, 2.5)}


def value(word):
    sign = -1.0 if word.startswith("-") else 1.0
    word = word.removeprefix("-")
    return math.copysign(WORDS[word] if word in WORDS else float(word), sign)


def choices(word):
    return [v for w in word.split("|") for v in (STANDS_FOR.get(w) or (value(w),))]


def rows(text):
    """Return (a, b, real, imaginary) for each line; a result is (number, whether it is signed)."""
    for line in text.replace("\n", ";").split(";"):
        if line.strip():
            left, right = line.split("->")
            first, second = (choices(w) for w in left.split())
            for a, b in itertools.product(first, second):
                yield a, b, *results(right.split(), b)


def results(words, b):
    if "*" in words[0]:
        factor, _, rest = words[0].partition("*")
        k, less = value(factor), 1.0 if rest.endswith("-1") else 0.0
        return (k * math.cos(b) - less, True), (k * math.sin(b) if b or not k else b, True)
    return tuple((value(w.removeprefix("+-")), not w.startswith("+-")) for w in words)


def turned(table):
    for a, b, real, (imaginary, signed) in table:
        yield b, -a, (imaginary, signed), (-real[0], real[1])


def table_of(name):
    if name in TURNED:
        return turned(rows(COMPLEX[TURNED[name]]))
    if name == "cos":
        return ((b, -a, *result) for a, b, *result in rows(COMPLEX["cosh"]))
    if name in ("log2", "log10"):
        by = math.log(float(name[3:]))
        return ((a, b, (u / by, s), (v / by, t)) for a, b, (u, s), (v, t) in rows(COMPLEX["log"]))
    return rows(COMPLEX[name])


def mirrored(name, table):
    for a, b, real, (imaginary, signed) in table:
        yield a, b, real, (imaginary, signed)
        if name in MIRRORED:
            yield a, -b, real, (-imaginary, signed)


def same(got, want, signed=True):
    """Whether a number is what was said: NaN, an infinity or zero of that sign, else close."""
    if math.isnan(want):
        return math.isnan(got)
    if not signed:
        got, want = abs(got), abs(want)
    if want == 0:
        return got == 0 and math.copysign(1, got) == math.copysign(1, want)
    return got == want or math.isclose(got, want, rel_tol=1e-6)


def computed(name, values, dtype):
    arrays = [xp.asarray(np.asarray(v, dtype=dtype)) for v in values]
    with np.errstate(all="ignore"):
        return np.asarray(getattr(xp, name)(*arrays))


def wrong(cases, got):
    return [
        (given, "gives", g, "not", want)
        for (given, want), g in zip(cases, got, strict=True)
        if not same(float(g), want)
    ]


@pytest.mark.parametrize("name", [*REAL, *TRUTHS])
def test_real_functions_of_one_argument(name, be, dtype):
    pairs = (case.split(":") for case in (REAL | TRUTHS)[name].split())
    cases = [(value(given), value(want)) for given, want in pairs]
    got = computed(name, [[given for given, _ in cases]], dtype)
    assert not wrong(cases, got)
    assert not wrong(cases[:1], [computed(name, [cases[0][0]], dtype)])  # no axes


def floor_divided(a, b):
    """Return the floor of the quotient, as the standard prefers it to Python's own answer at infinities."""
    with np.errstate(all="ignore"):
        return float(np.floor(np.float64(a) / np.float64(b)))


def remainder(a, b):
    """Return Python's a % b, NaN where Python raises; zero has the sign of b."""
    return NAN if b == 0 or math.isinf(a) else a % b


GRID = (NAN, INF, -INF, 0.0, -0.0, 1.0, -1.0, 2.0, -3.0, 2.5, -0.5)
BINARY = {
    **{name: getattr(np, name) for name in ("add", "subtract", "multiply", "divide", "pow", "atan2")},
    **{name: getattr(np, name) for name in ("copysign", "hypot", "logaddexp", "equal", "not_equal")},
    **{name: getattr(np, name) for name in ("less", "less_equal", "greater", "greater_equal")},
    "floor_divide": floor_divided,
    "remainder": remainder,
}
CASES = list(itertools.product(GRID, GRID))


@pytest.mark.parametrize("name", BINARY)
def test_functions_of_two_arguments(name, be, dtype):
    """IEEE 754 is the standard's table for all but floor division and remainder."""
    with np.errstate(all="ignore"):
        cases = [((a, b), float(BINARY[name](a, b))) for a, b in CASES]
    got = computed(name, list(zip(*CASES, strict=True)), dtype)
    if name == "logaddexp":  # of whose zeros the standard says nothing
        cases, got = [(given, want + 0.0) for given, want in cases], got + 0.0
    assert not wrong(cases, got)


@pytest.mark.parametrize("name", ["maximum", "minimum"])
def test_nan_wins_and_zeros_tie(name, be, dtype):
    got = computed(name, list(zip(*CASES, strict=True)), dtype)
    for (a, b), g in zip(CASES, got, strict=True):
        assert math.isnan(g) if math.isnan(a) or math.isnan(b) else g in (a, b)


@pytest.mark.parametrize("side", [-INF, -0.0])
def test_a_python_number_meets_the_same_rules(side, be, dtype):
    x = xp.asarray(np.asarray(GRID, dtype=dtype))
    with np.errstate(all="ignore"):
        got = [np.asarray(x // side), np.asarray(side // x), np.asarray(x % side), np.asarray(side % x)]
    assert not wrong([((a, side), floor_divided(a, side)) for a in GRID], got[0])
    assert not wrong([((side, a), floor_divided(side, a)) for a in GRID], got[1])
    assert not wrong([((a, side), remainder(a, side)) for a in GRID], got[2])
    assert not wrong([((side, a), remainder(side, a)) for a in GRID], got[3])


def test_next_number_towards_another(be, dtype):
    tiny = np.finfo(dtype).smallest_subnormal
    cases = [((NAN, 1), NAN), ((1, NAN), NAN), ((-0.0, 0.0), 0.0), ((0.0, -0.0), -0.0), ((0.0, 1.0), tiny)]
    got = computed("nextafter", list(zip(*(given for given, _ in cases), strict=True)), dtype)
    assert not wrong(cases, got)


def test_nan_limits_give_nan(be, dtype):
    x = xp.asarray(np.asarray([NAN, 1.0, 2.0], dtype=dtype))
    low = xp.asarray(np.asarray([0.0, NAN, 0.0], dtype=dtype))
    high = xp.asarray(np.asarray([3.0, 3.0, NAN], dtype=dtype))
    assert np.isnan(np.asarray(xp.clip(x, low, high))).all()


@pytest.mark.parametrize("name", [*COMPLEX, *TURNED, "cos", "log2", "log10"])
@pytest.mark.parametrize("complex_dtype", ["complex64", "complex128"])
def test_complex_functions(name, be, complex_dtype):
    if not be.supports(complex_dtype):
        pytest.skip(f"{be} has no {complex_dtype}")
    table = list(mirrored(name, table_of(name)))
    got = computed(name, [[complex(a, b) for a, b, *_ in table]], complex_dtype)
    failures = [
        (complex(a, b), "gives", g, "not", (real, imaginary))
        for (a, b, real, imaginary), g in zip(table, map(complex, got), strict=True)
        if not (same(g.real, *real) and same(g.imag, *imaginary))
    ]
    assert not failures
