"""Where in the user's code something happened, and what a failed trace is to be called."""

from __future__ import annotations

import sys
from pathlib import Path, PurePath
from types import FrameType

import torch
from torch import nn

_TORCH, _OURS = PurePath(torch.__file__).parent, Path(__file__).parent


def line_of_forward() -> str:
    """Return the line of the user's code that is running, as ``12 of net.py``; empty where there is none."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if line := _line(frame, frame.f_lineno):
            return line
        frame = frame.f_back
    return ""


def _line(frame: FrameType, number: int) -> str:
    """Return ``12 of net.py`` for a frame of a module's method outside of PyTorch; empty for others."""
    file = PurePath(frame.f_code.co_filename)
    first = frame.f_locals.get(frame.f_code.co_varnames[0]) if frame.f_code.co_argcount else None
    return (
        f"{number} of {file.name}"
        if isinstance(first, nn.Module) and not (file.is_relative_to(_TORCH) or file.is_relative_to(_OURS))
        else ""
    )


def line_of_error(error: Exception) -> str:
    """Return the innermost line of a forward outside of PyTorch that *error* passed, as ``12 of net.py``; else empty."""
    found, here = "", error.__traceback__
    while here is not None:
        if line := _line(here.tb_frame, here.tb_lineno):
            found = line
        here = here.tb_next
    return found


def way_out(error: Exception) -> str:
    """Return what to do about a forward that cannot be traced."""
    if "control flow" in str(error):
        return (
            "a graph does the same in every step, whatever the data: decide by an option of the module (self.flag), or outside "
            "of it; a gate on data is no weighted sum"
        )
    return "give an nn.Sequential, or a module whose forward is one time step without Python control flow on data"


def reason(error: Exception) -> str:
    """Return why a forward cannot be traced, in the words of its writer."""
    text = str(error).split("\n")[0]
    if "iterated" in text:
        return "it iterates over a tensor that it computed; write `for step in range(x.shape[0])` and take x[step]"
    if "control flow" in text:
        return "it takes an if or a while on a tensor's values"
    return text or type(error).__name__
