"""The importer of lava-dl's ``.net`` files: networks of Loihi's integers, as lava-dl 0.6.0's netx builds them in Lava.

The graph has Loihi's integers as they stand in the file: its coefficients lie on the grid of ``ir.loihi``, and it states its
profile (``lava``) and its arithmetic (note ``arithmetic``: ``loihi``). Every synapse takes a step, delays of the file beside
it, so the spikes of layer *k* come *k* steps late; an input layer is driven one step late too. What netx leaves out although
training has it (refractory periods, exponents, delays of convolutions) has two readings and is refused.

Source: lava-nc/lava-dl, src/lava/lib/dl/netx (BSD-3), doi:10.1109/IJCNN.2018.8489241 for SLAYER, which writes the files.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from spikeport.compiler.importers.netx_chain import Chain
from spikeport.compiler.importers.netx_conv import Given
from spikeport.compiler.importers.netx_fields import Fields
from spikeport.compiler.importers.netx_layers import add_layer
from spikeport.ir import Diagnostic, Graph
from spikeport.ir.diagnostics import ImportModelError, fail_on_errors
from spikeport.ir.nir_tree import read_hdf5
from spikeport.ir.ops import Shape
from spikeport.ir.profile import Profile
from spikeport.ir.profiles import parse_profile

#: Most layers of a file.
MAX_LAYERS = 10_000
#: Lava's timing; a weight enters the current as it is times 64, and v_leak is the bias, added to the membrane each step.
PROFILE = "lava:zero,gain=unit,syn_gain=unit,leak=unit"


def load_netx(
    path: str | os.PathLike[str], input_shape: Shape | None = None, like: Shape | None = None
) -> tuple[Graph, tuple[Diagnostic, ...]]:
    """Read a ``.net`` file.

    Parameters
    ----------
    path : path
        HDF5 file that lava-dl's or slayerPytorch's ``export_hdf5`` wrote.
    input_shape : tuple of int, optional
        (C, H, W), for a file that begins with a convolution and does not say the size of its input.
    like : tuple of int, optional
        Shape of an array that will be run: where it fits, its last axes say that size.

    Returns
    -------
    Graph
        On Loihi's grid, channels first; nodes are named by the file's keys (``layer.0.neuron``). A population's note
        ``starts`` is the step at which its first input can reach it, from which lava-dl counts its sample.
    tuple of Diagnostic
        Warnings E059, and the note E061 of an input layer.

    Raises
    ------
    ImportModelError
        E002, E003 and E050 for a file that cannot be read; E051 to E058 and E060, all at once, for what is in it.
    """
    hint = "a .net file is HDF5, written by export_hdf5 of lava-dl or slayerPytorch"
    tree = read_hdf5(path, "layer", ("simulation",), what="netx network", has="a .net file has", hint=hint, code="E050")
    found: list[Diagnostic] = []
    numbers = _numbers(tree["layer"])
    profile = _profile(tree.get("simulation"))
    chain = Chain(profile)
    for number in numbers:
        layer = Fields(tree["layer"], "layer", found).group(str(number))
        if layer is None:
            chain.lose()
        else:
            add_layer(chain, layer, number, Given(input_shape, like))
    broken = any(d.severity == "error" for d in found)
    if not broken and not any(node.path.endswith(".neuron") for node in chain.nodes):
        found.append(Diagnostic("E051", "layer", "the file has no layer with neurons", "give a trained network"))
    warnings = fail_on_errors(ImportModelError, found)
    _check_shape(chain, input_shape)
    notes: dict[str, Any] = {"arithmetic": "loihi", "source": "netx"}
    return chain.graph(notes), warnings


def _numbers(layers: dict[str, Any]) -> range:
    """Return the numbers of the layers; E051 unless they are 0, 1, 2, ..."""
    count = len(layers)
    names = {str(n) for n in range(min(count, MAX_LAYERS))}
    if not count:
        raise ImportModelError(Diagnostic("E051", "layer", "the file has no layers", "export the network anew"))
    if count > MAX_LAYERS:
        raise ImportModelError(Diagnostic("E051", "layer", f"the file has {count:,} layers; at most {MAX_LAYERS:,} are read",
                                          "split the network"))  # fmt: skip
    if set(layers) != names:
        missing, odd = sorted(names - set(layers), key=int), sorted(set(layers) - names)
        text = f"the {count} layers are to be numbered 0 to {count - 1}; {_listed(missing)} not there, {_listed(odd)} instead"
        raise ImportModelError(Diagnostic("E051", "layer", text, "number the layers in their order", {"missing": missing}))
    return range(count)


def _listed(names: list[str]) -> str:
    shown = ", ".join(name[:20] for name in names[:8]) + (" ..." if len(names) > 8 else "")
    return f"{shown} {'is' if len(names) == 1 else 'are'}"


def _profile(simulation: Any) -> Profile:
    """Return the profile, its step Ts milliseconds where the file has one; decays are of a step, so it changes no spike."""
    value = np.asarray(simulation.get("Ts", 1)) if isinstance(simulation, dict) else np.ones(())
    step = float(value.reshape(-1)[0]) if value.size == 1 and value.dtype.kind in "iuf" else 1.0
    return parse_profile(f"{PROFILE},dt={1e-3 * step if 0 < step < 1e6 else 1e-3!r}")


def _check_shape(chain: Chain, given: Shape | None) -> None:
    """Refuse an input shape that is not the file's (E054)."""
    if given is None or not chain.nodes:
        return
    shape = chain.nodes[0].op.input_shape_hint()
    if shape != tuple(given):
        text = f"the network takes inputs of shape {shape}; {tuple(given)} was given"
        raise ImportModelError(Diagnostic("E054", "layer/0", text, "leave the input shape out", {"expected": shape}))
