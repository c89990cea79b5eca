"""Our functions in Brian2's statements: what its expressions lack, in numpy, Cython and C++, with sums in one order.

``if_else`` and ``whole`` are the two that neurons need. The others belong to one group each: ``given_*`` reads the input,
``past_*`` is a delay line, ``conv_*`` and ``pool_*`` compute a whole layer when they are called for its first neuron
(shared weights are read from one store, nothing is kept for a synapse), and then hand out one value after the other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from spikeport.backends.brian2.form import Call

Arrays = Mapping[str, Any]

SHARED_CPP = {
    "if_else": "static inline double if_else(const bool c, const double a, const double b) { return c ? a : b; }",
    "whole": "static inline double whole(const double x) { return std::trunc(x); }",
}
SHARED_CYTHON = {
    "if_else": "cdef double if_else(bint c, double a, double b):\n    return a if c else b",
    "whole": "from libc.math cimport trunc as _c_trunc\ncdef double whole(double x):\n    return _c_trunc(x)",
}
SHARED_NUMPY: Mapping[str, Callable[..., Any]] = {"if_else": np.where, "whole": np.trunc}


def arguments(call: Call) -> tuple[str, ...]:
    """Return the types of the arguments of *call*, as Brian2 names them."""
    return {"input": ("integer", "integer"), "delay": ("integer", "any", "integer", "any")}.get(call.kind, ("integer",))


# ---------------------------------------------------------------------------------------------------------------- numpy


def conv2d(x: Any, kernel: Any, bias: Any, stride: Any, dilation: Any, padding: Any, groups: int, shape: Any) -> Any:
    """Return the convolution of *x* (copies, channels, rows, columns), each sum from the bias on by ascending input index."""
    c_out, c_group, k_x, k_y = kernel.shape
    _, rows, cols = shape
    room = [(p, max(0, (n - 1) * s + (k - 1) * d + 1 - size - p)) for p, n, s, k, d, size in
            zip(padding, (rows, cols), stride, (k_x, k_y), dilation, x.shape[2:], strict=True)]  # fmt: skip
    padded = np.pad(x, ((0, 0), (0, 0), *room))
    total = np.tile(np.repeat(bias, rows * cols), len(x)).reshape(len(x), c_out, rows, cols)
    per_group = c_out // groups
    for group in range(groups):
        out = slice(group * per_group, (group + 1) * per_group)
        for c, i, j in np.ndindex(c_group, k_x, k_y):
            at_x, at_y = i * dilation[0], j * dilation[1]
            window = padded[:, group * c_group + c, at_x : at_x + (rows - 1) * stride[0] + 1 : stride[0],
                            at_y : at_y + (cols - 1) * stride[1] + 1 : stride[1]]  # fmt: skip
            total[:, out] += kernel[out, c, i, j][:, None, None] * window[:, None]
    return total


def pool2d(x: Any, kernel: Any, stride: Any, padding: Any, shape: Any, is_mean: bool) -> Any:
    """Return sums (or means) of *x* (copies, channels, rows, columns) over windows; padded zeros count."""
    _, rows, cols = shape
    room = [(p, max(0, (n - 1) * s + k - size - p)) for p, n, s, k, size in
            zip(padding, (rows, cols), stride, kernel, x.shape[2:], strict=True)]  # fmt: skip
    padded = np.pad(x, ((0, 0), (0, 0), *room))
    total = np.zeros((len(x), *shape))
    for i, j in np.ndindex(*kernel):
        at_x, at_y = slice(i, i + (rows - 1) * stride[0] + 1, stride[0]), slice(j, j + (cols - 1) * stride[1] + 1, stride[1])
        total = total + padded[:, :, at_x, at_y]
    return total / (kernel[0] * kernel[1]) if is_mean else total


def delay_line(depth: int, n: int) -> Any:
    """Return a function (i, x, now, lag) that keeps x as the value of step *now* and gives that of *lag* steps before."""
    line = np.zeros((depth, n))

    def past(i: Any, x: Any, now: Any, lag: Any) -> Any:
        now = int(np.max(now))
        if now < 0:
            return np.zeros(n)
        line[now % depth] = x
        lag = np.broadcast_to(np.asarray(lag, np.int64), (n,))
        return np.where(lag <= now, line[(now - lag) % depth, np.arange(n)], 0.0)

    return past


def in_numpy(call: Call, arrays: Arrays) -> Callable[..., Any]:
    """Return the function of *call* on whole vectors; *arrays* as `names` lists them."""
    sizes = call.sizes
    if call.kind == "input":
        return lambda step, i: arrays["given"][int(np.max(step))][i]
    if call.kind == "delay":
        return delay_line(sizes["depth"], sizes["n"])
    source, shape = arrays["x"], (sizes["copies"], *sizes["input"])
    if call.kind == "pool":
        rest = (sizes["kernel"], sizes["stride"], sizes["padding"], sizes["output"], bool(sizes["mean"]))
        return lambda i: pool2d(source.reshape(shape), *rest).reshape(-1)
    cut = math.prod(sizes["kernel"])
    kernel, bias = arrays["k"][:cut].reshape(sizes["kernel"]), arrays["k"][cut:]
    geometry = (sizes["stride"], sizes["dilation"], sizes["padding"], sizes["groups"], sizes["output"])
    return lambda i: conv2d(source.reshape(shape), kernel, bias, *geometry).reshape(-1)


# ------------------------------------------------------------------------------------------------- C++ and Cython, loops

_CPP = {
    "input": """
static inline double @NAME@(const int64_t step, const int i) { return spikeport_@NAME@[step * @N@ + i]; }
""",
    "delay": """
static double @NAME@(const int i, const double x, const int64_t now, const double lag)
{
    static std::vector<double> line((size_t)@DEPTH@ * @N@);
    if (now < 0) return 0.0;
    const int64_t then = now - (int64_t)lag;
    line[(size_t)(now % @DEPTH@) * @N@ + i] = x;
    return then < 0 ? 0.0 : line[(size_t)(then % @DEPTH@) * @N@ + i];
}
""",
    "pool": """
static double @NAME@(const int i)
{
    const double* x = @X@;
    const int c = i / (@ROWS@ * @COLS@), row = i / @COLS@ % @ROWS@, col = i % @COLS@;
    double total = 0.0;
    for (int a = 0; a < @KX@; a++)
        for (int b = 0; b < @KY@; b++) {
            const int r = row * @SX@ - @PX@ + a, q = col * @SY@ - @PY@ + b;
            if (r >= 0 && r < @H@ && q >= 0 && q < @W@) total += x[(c * @H@ + r) * @W@ + q];
        }
    return @MEAN@ ? total / (double)(@KX@ * @KY@) : total;
}
""",
    "conv": """
static double @NAME@(const int i)
{
    static std::vector<double> total(@COUT@ * @ROWS@ * @COLS@);
    if (i) return total[i];
    const double* x = @X@;
    const double* k = @K@;
    for (int o = 0; o < @COUT@; o++)
        for (int p = 0; p < @ROWS@ * @COLS@; p++) total[o * @ROWS@ * @COLS@ + p] = k[@COUT@ * @CG@ * @KX@ * @KY@ + o];
    for (int c = 0; c < @CIN@; c++)
        for (int r = 0; r < @H@; r++)
            for (int q = 0; q < @W@; q++) {
                const double value = x[(c * @H@ + r) * @W@ + q];
                if (value == 0.0) continue;
                for (int a = 0; a < @KX@; a++) {
                    int row = r + @PX@ - a * @DX@;
                    if (row < 0 || row % @SX@ || (row /= @SX@) >= @ROWS@) continue;
                    for (int b = 0; b < @KY@; b++) {
                        int col = q + @PY@ - b * @DY@;
                        if (col < 0 || col % @SY@ || (col /= @SY@) >= @COLS@) continue;
                        for (int o = c / @CG@ * @OG@; o < (c / @CG@ + 1) * @OG@; o++)
                            total[(o * @ROWS@ + row) * @COLS@ + col] +=
                                k[((o * @CG@ + c % @CG@) * @KX@ + a) * @KY@ + b] * value;
                    }
                }
            }
    return total[0];
}
""",
}

_CYTHON = {
    "input": """
cdef double @NAME@(int64_t step, int i):
    global _namespace@NAME@_given
    return _namespace@NAME@_given[step * @N@ + i]
""",
    "delay": """
cdef double @NAME@(int i, double x, int64_t now, double lag):
    global _namespace@NAME@_line
    cdef int64_t then = now - <int64_t>lag
    if now < 0:
        return 0.0
    _namespace@NAME@_line[(now % @DEPTH@) * @N@ + i] = x
    return 0.0 if then < 0 else _namespace@NAME@_line[(then % @DEPTH@) * @N@ + i]
""",
    "pool": """
cdef double @NAME@(int i):
    global _namespace@NAME@_x
    cdef int c = i // (@ROWS@ * @COLS@), row = i // @COLS@ % @ROWS@, col = i % @COLS@
    cdef int a, b, r, q
    cdef double total = 0.0
    for a in range(@KX@):
        for b in range(@KY@):
            r = row * @SX@ - @PX@ + a
            q = col * @SY@ - @PY@ + b
            if r >= 0 and r < @H@ and q >= 0 and q < @W@:
                total += _namespace@NAME@_x[(c * @H@ + r) * @W@ + q]
    return total / <double>(@KX@ * @KY@) if @MEAN@ else total
""",
    "conv": """
cdef double @NAME@(int i):
    global _namespace@NAME@_x
    global _namespace@NAME@_k
    global _namespace@NAME@_total
    cdef int o, p, c, r, q, a, b, row, col
    cdef double value
    cdef double* total = _namespace@NAME@_total
    cdef double* k = _namespace@NAME@_k
    if i:
        return total[i]
    for o in range(@COUT@):
        for p in range(@ROWS@ * @COLS@):
            total[o * @ROWS@ * @COLS@ + p] = k[@COUT@ * @CG@ * @KX@ * @KY@ + o]
    for c in range(@CIN@):
        for r in range(@H@):
            for q in range(@W@):
                value = _namespace@NAME@_x[(c * @H@ + r) * @W@ + q]
                if value == 0.0:
                    continue
                for a in range(@KX@):
                    row = r + @PX@ - a * @DX@
                    if row < 0 or row % @SX@ or row // @SX@ >= @ROWS@:
                        continue
                    row = row // @SX@
                    for b in range(@KY@):
                        col = q + @PY@ - b * @DY@
                        if col < 0 or col % @SY@ or col // @SY@ >= @COLS@:
                            continue
                        col = col // @SY@
                        for o in range(c // @CG@ * @OG@, (c // @CG@ + 1) * @OG@):
                            total[(o * @ROWS@ + row) * @COLS@ + col] += k[((o * @CG@ + c % @CG@) * @KX@ + a) * @KY@ + b] * value
    return total[0]
""",
}


def in_cpp(call: Call) -> str:
    """Return the function of *call* in C++, for a stand-alone program: it reads the program's own arrays."""
    return _fill(_CPP[call.kind], call, f"brian::_array_{call.source}_y", f"brian::_array_{call.store}_k")


def in_cython(call: Call) -> str:
    """Return the function of *call* in Cython; its arrays come by its namespace, ``NAME_given`` and so on."""
    return _fill(_CYTHON[call.kind], call, "", "")


def _fill(template: str, call: Call, x: str, k: str) -> str:
    sizes = call.sizes
    words: dict[str, Any] = {"NAME": call.name, "X": x, "K": k, "N": sizes.get("n", 0), "DEPTH": sizes.get("depth", 0)}
    if "input" in sizes:
        (words["CIN"], words["H"], words["W"]), (_, words["ROWS"], words["COLS"]) = sizes["input"], sizes["output"]
        (words["KX"], words["KY"]), (words["SX"], words["SY"]) = sizes["kernel"][-2:], sizes["stride"]
        (words["PX"], words["PY"]), words["MEAN"] = sizes["padding"], sizes.get("mean", 0)
    if call.kind == "conv":
        words["COUT"], words["CG"] = sizes["kernel"][:2]
        words["OG"], (words["DX"], words["DY"]) = words["COUT"] // sizes["groups"], sizes["dilation"]
    for word, value in words.items():
        template = template.replace(f"@{word}@", str(value))
    return template


__all__ = [
    "SHARED_CPP", "SHARED_CYTHON", "SHARED_NUMPY", "arguments", "conv2d", "delay_line", "in_cpp", "in_cython", "in_numpy",
    "pool2d",
]  # fmt: skip
