"""Traced values: what torch.fx's proxies do not do by themselves, and which calls are about lengths."""

from __future__ import annotations

import dis
import operator
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import torch
from torch import fx

from spikeport.compiler.importers.torch_live import is_kept

#: Steps to which a loop over a length that is not known is unrolled.
LOOP_STEPS = 37


class Value(fx.Proxy):  # type: ignore[misc] # torch is read without its types
    """A traced value; a length that is asked for as a number of loop steps is ``LOOP_STEPS``."""

    # What torch asks of a tensor that is set as an attribute of a module.
    _is_param = _is_buffer = False

    @property  # type: ignore[misc] # of object, a plain attribute
    def __class__(self) -> type:  # so that isinstance(x, torch.Tensor) is as true as for what it stands for
        return type(self) if is_size(self.node) or is_shape(self.node) else torch.Tensor

    def __index__(self) -> int:
        if is_size(self.node) or self.node.op == "placeholder":
            self.tracer.has_open_loop = True
            return LOOP_STEPS
        raise TypeError(f"'{self.node.name}' depends on data and cannot be a number")

    def __iter__(self) -> Iterator[fx.Proxy]:
        # ``for x in xs`` takes steps, ``a, b = states`` parts.
        parts = _unpacked(sys._getframe(1))
        self.tracer.has_open_loop |= not parts
        return (self[step] for step in range(parts or LOOP_STEPS))

    def __setitem__(self, key: Any, value: Any) -> None:
        # Results of the steps, written one by one into a tensor of zeros.
        self.tracer.create_proxy("call_function", operator.setitem, (self, key, value), {})

    # torch.fx takes x += y for x = x + y; for a tensor it changes what x is called elsewhere, too.

    def __iadd__(self, other: Any) -> fx.Proxy:
        return self._in_place(operator.iadd, operator.add, other)

    def __isub__(self, other: Any) -> fx.Proxy:
        return self._in_place(operator.isub, operator.sub, other)

    def __imul__(self, other: Any) -> fx.Proxy:
        return self._in_place(operator.imul, operator.mul, other)

    def __itruediv__(self, other: Any) -> fx.Proxy:
        return self._in_place(operator.itruediv, operator.truediv, other)

    def _in_place(self, changing: Callable[..., Any], plain: Callable[..., Any], other: Any) -> fx.Proxy:
        is_number = is_size(self.node) or is_kept(self.node)
        return self.tracer.create_proxy("call_function", plain if is_number else changing, (self, other), {})


def _unpacked(frame: FrameType) -> int:
    """Return into how many names the statement at which *frame* stands takes a value apart; 0 where it does not."""
    at = next((i for i in dis.get_instructions(frame.f_code) if i.offset >= frame.f_lasti), None)
    return int(at.argval) if at is not None and at.opname == "UNPACK_SEQUENCE" else 0


def is_size(node: fx.Node) -> bool:
    """Whether *node* is one length of a tensor, or a part of them: ``x.size(i)``, ``x.shape[i]``, ``x.shape[:2][i]``."""
    if node.op == "call_method" and node.target == "size":
        return len(node.args) == 2
    if node.op != "call_function" or getattr(node.target, "__name__", "") != "getitem":
        return False
    inner = node.args[0]
    return isinstance(inner, fx.Node) and (is_shape(inner) or (is_size(inner) and isinstance(inner.args[1], slice)))


def is_shape(node: fx.Node) -> bool:
    """Whether *node* is all lengths of a tensor."""
    if node.op == "call_function" and node.target is getattr:
        return bool(node.args[1] == "shape")
    return node.op == "call_method" and node.target == "size" and len(node.args) == 1
