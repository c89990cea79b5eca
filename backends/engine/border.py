"""Kernels between the arrays of a run and the workspace: inputs in, recordings out."""

from numba import njit

from spikeport.backends.engine.columns import (
    AS_COUNTS,
    AS_DOUBLES,
    AT_OUT,
    AT_X,
    BEHIND,
    FORM,
    INPUT_COLUMNS,
    OUT_KIND,
    OUT_PORT,
    PORT_COLUMNS,
    VIEW_COLUMNS,
    X_IS_BYTES,
    X_PORT,
)
from spikeport.backends.engine.events import enter, enter_silence
from spikeport.backends.engine.frame import OPTIONS, share_rows
from spikeport.backends.engine.recording import record
from spikeport.backends.engine.vec import bytes_at, doubles_at, floats_at, int32_at, past


@njit(**OPTIONS)
def take_in(like, inputs, number, ports, sample, step, steps, F, I, L, frame):
    """Bring this thread's rows of all inputs into the workspace; without `steps` there is none: silence."""
    frame = share_rows(frame)
    for n in range(number):
        row = past(inputs, n * INPUT_COLUMNS)
        port = past(ports, row[X_PORT] * PORT_COLUMNS)
        if steps == 0:
            enter_silence(port, F, I, frame)
        elif row[X_IS_BYTES]:
            enter(bytes_at(row[AT_X]), port, sample, step, steps, F, I, L, frame)
        else:
            enter(floats_at(like, row[AT_X]), port, sample, step, steps, F, I, L, frame)


@njit(**OPTIONS)
def show(like, views, number, ports, sample, step, steps, F, U, W, WI, frame):
    """Copy this thread's rows of all that is recorded out of the workspace."""
    frame = share_rows(frame)
    for n in range(number):
        row = past(views, n * VIEW_COLUMNS)
        port = past(ports, row[OUT_PORT] * PORT_COLUMNS)
        if row[OUT_KIND] == AS_COUNTS:
            record(port, row[FORM], row[BEHIND], int32_at(row[AT_OUT]), sample, step, steps, F, U, W, WI, frame)
        elif row[OUT_KIND] == AS_DOUBLES:
            record(port, row[FORM], row[BEHIND], doubles_at(row[AT_OUT]), sample, step, steps, F, U, W, WI, frame)
        else:
            record(port, row[FORM], row[BEHIND], floats_at(like, row[AT_OUT]), sample, step, steps, F, U, W, WI, frame)


__all__ = ["show", "take_in"]
