"""One frozen class for every NIR primitive, with NIR's names and fields (NIR 1.0.8, doi:10.1038/s41467-024-52259-9)."""

from spikeport.ir.ops.base import Array, Op, Shape, ShapeError
from spikeport.ir.ops.border import Flatten, Input, Output
from spikeport.ir.ops.conv import Conv1d, Conv2d
from spikeport.ir.ops.linear import Affine, Linear, Scale
from spikeport.ir.ops.neuron import (
    IF,
    LI,
    LIF,
    NO_EXTRAS,
    CubaLI,
    CubaLIF,
    Delay,
    Discrete,
    Extras,
    I,
    Neuron,
    Threshold,
)
from spikeport.ir.ops.pool import AvgPool2d, SumPool2d

#: Every primitive by NIR's name.
OPS: dict[str, type[Op]] = {
    cls.__name__: cls
    for cls in (
        Input, Output, Affine, Linear, Scale, Conv1d, Conv2d, SumPool2d, AvgPool2d, Flatten, Delay, Threshold,
        I, IF, LI, LIF, CubaLI, CubaLIF,
    )
}  # fmt: skip

__all__ = [
    "IF", "LI", "LIF", "NO_EXTRAS", "OPS", "Affine", "Array", "AvgPool2d", "Conv1d", "Conv2d", "CubaLI", "CubaLIF",
    "Delay", "Discrete", "Extras", "Flatten", "I", "Input", "Linear", "Neuron", "Op", "Output", "Scale", "Shape",
    "ShapeError", "SumPool2d", "Threshold",
]  # fmt: skip
