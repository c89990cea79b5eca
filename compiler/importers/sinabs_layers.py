"""sinabs 3.1's layers without state: pooling, cropping, shifts, merged and split time; what is analog is refused by name.

SumPool2d is ``LPPool2d`` of norm 1: a mean that is multiplied by the window's size, which can differ from our plain sum by
a rounding. Cropping2dLayer and ChannelShift pick elements; as a convolution with one weight of 1 they do so exactly.
Source: the package's own ``layers/*.py``, version 3.1.3.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import sinabs.layers as sl

from spikeport.compiler.importers.torch_layers import Built, average
from spikeport.compiler.importers.torch_library import BATCH_FIRST, MERGED, Plain, class_name, refusal
from spikeport.ir.diagnostics import Diagnostic
from spikeport.ir.ops import Conv2d, Linear, Shape, SumPool2d


def _through(module: Any, path: str, shape: Shape) -> Built:
    return None, shape


def _sum(module: Any, path: str, shape: Shape) -> Built:
    op, out = average(path, shape, module.kernel_size, module.stride, divisor=1)
    if isinstance(op, SumPool2d) and module.ceil_mode:
        left = [(n - k) % s for n, k, s in zip(shape[1:], op.kernel_size, op.stride, strict=True)]
        if any(left):
            raise refusal(
                "E021", path, f"{class_name(module)} with ceil_mode=True adds a window that hangs over the edge of {shape}, "
                "and counts what is outside as the mean of what is inside", "use ceil_mode=False, or pad the input",
                leftover=left,
            )  # fmt: skip
    return op, out


def _crop(module: Any, path: str, shape: Shape) -> Built:
    """Return a depthwise kernel as large as what is cut off, with a 1 where the first element that stays is."""
    top, bottom, left, right = (int(n) for n in (module.top_crop, module.bottom_crop, module.left_crop, module.right_crop))
    if len(shape) != 3 or min(top, bottom, left, right) < 0 or top + bottom >= shape[1] or left + right >= shape[2]:
        raise refusal(
            "E027", path,
            f"this {class_name(module)} cuts rows {top}+{bottom} and columns {left}+{right} off an input of {shape}",
            "check cropping=((top, bottom), (left, right)) and input_shape= (without batch and time)", got=shape,
        )  # fmt: skip
    if not top + bottom + left + right:
        return None, shape
    weight = np.zeros((shape[0], 1, top + bottom + 1, left + right + 1), np.float32)
    weight[:, 0, top, left] = 1
    op = Conv2d((shape[1], shape[2]), weight, (1, 1), (0, 0), (1, 1), shape[0], np.zeros(shape[0], np.float32))
    return op, op.output_shape(shape)


def _shift(module: Any, path: str, shape: Shape) -> Built:
    """Return the connection that puts *channel_shift* silent channels in front (or takes as many away)."""
    shift = int(module.channel_shift)
    if len(shape) + module.channel_axis or len(shape) not in (1, 3) or shape[0] + shift < 1:
        raise refusal(
            "E021", path, f"this {class_name(module)} shifts axis {module.channel_axis} of {shape} by {shift}: only channels "
            "of images and features are shifted", "set channel_axis=-3 for (channels, height, width), -1 for features",
            got=shape,
        )  # fmt: skip
    if not shift:
        return None, shape
    place = np.eye(shape[0] + shift, shape[0], -shift, dtype=np.float32)
    if len(shape) == 1:
        return Linear(place), (len(place),)
    op = Conv2d((shape[1], shape[2]), place[:, :, None, None], (1, 1), (0, 0), (1, 1), 1, np.zeros(len(place), np.float32))
    return op, op.output_shape(shape)


def _never(module: Any, path: str, shape: Shape) -> Built:
    """Stand for the op of a layer that is refused before its shape is known."""
    raise TypeError(path)


def _refused(text: str, hint: str) -> Plain:
    def refusals(module: Any, path: str) -> list[Diagnostic]:
        name = class_name(module)
        return [Diagnostic("E020", path, f"{name} {text}", hint, {"class": name})]

    return Plain(_never, refusals=refusals)


_ANALOG = _refused("has no counterpart in a spiking graph: it rounds numbers",
                   "convert the network with sinabs.from_torch.from_model, which puts spiking layers in its place")  # fmt: skip
_CODES = _refused("draws spikes at random from its input", "leave it out, and give the network the spikes")
LAYERS: dict[type, Plain] = {
    sl.SumPool2d: Plain(_sum),
    sl.FlattenTime: Plain(_through, BATCH_FIRST, MERGED),
    sl.UnflattenTime: Plain(_through, MERGED, BATCH_FIRST),
    sl.Cropping2dLayer: Plain(_crop),
    sl.ChannelShift: Plain(_shift),
    sl.QuantizeLayer: _ANALOG,
    sl.NeuromorphicReLU: _ANALOG,
    sl.SpikingMaxPooling2dLayer: _refused(
        "compares sums of spikes over time, which no graph can say", "use sinabs.layers.SumPool2d or torch.nn.AvgPool2d"
    ),
    sl.Img2SpikeLayer: _CODES,
    sl.Sig2SpikeLayer: _CODES,
}


def plain(module: Any) -> Plain | None:
    """Return what is known of *module* as a layer without state; None where its forward is to be traced."""
    known: Any = next((cls for cls in type(module).__mro__ if cls in LAYERS), None)
    if known is None or type(module).forward is not known.forward or (known is sl.QuantizeLayer and not module.quantize):
        return None
    return LAYERS[known]


def _merge(module: Any, data1: Any, data2: Any) -> Any:
    """Add two signals of one shape, as Merge does; it fills up the smaller of two with zeros, which is refused as a sum."""
    return data1 + data2


def inside(module: Any) -> Callable[..., Any] | None:
    """Return what to trace in the place of a container's forward; None where the forward itself can be traced."""
    return _merge if type(module) is sl.Merge else None
