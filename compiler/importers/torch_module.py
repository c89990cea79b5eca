"""``from_torch``: a trained ``torch.nn.Module`` becomes a graph with the time semantics of the module itself.

Containers are traced with torch.fx (``torch_trace``), a loop over time is rolled up to one step (``torch_step``), plain
layers become ops (``torch_layers``), neurons are read by their library's file (``snntorch``), and ``torch_build`` puts
nodes and edges together. Paths are the module's own dotted names. The module is read as in eval mode and left as it was.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from spikeport.compiler.importers.foreign import foreign_layers
from spikeport.compiler.importers.torch_axes import Axes
from spikeport.compiler.importers.torch_build import Builder
from spikeport.compiler.importers.torch_check import check_sample, twin_of
from spikeport.compiler.importers.torch_expr import Fired
from spikeport.compiler.importers.torch_given import Shapes, check_arguments, given_shapes, input_shapes
from spikeport.compiler.importers.torch_guard import is_leaf
from spikeport.compiler.importers.torch_layers import layer_refusals, option_refusals
from spikeport.compiler.importers.torch_library import (
    BATCH_FIRST,
    MERGED,
    STEP,
    TIME_FIRST,
    Lead,
    Library,
    class_name,
    library_of,
    plain_of,
    refusal,
)
from spikeport.compiler.importers.torch_step import Step, read_step
from spikeport.compiler.importers.torch_trace import as_container, trace
from spikeport.ir.diagnostics import Diagnostic, ImportModelError
from spikeport.ir.graph import Graph
from spikeport.ir.verify import verify


def from_torch(
    module: Any, input_shape: Sequence[int] | Mapping[str, Sequence[int]] | None = None, sample: Any = None, *,
    time_axis: int | None = None,
) -> Graph:  # fmt: skip
    """Return the graph of *module*, its execution profile included.

    Parameters
    ----------
    module : torch.nn.Module
        Linear, Conv1d, Conv2d, pools, Flatten, Dropout, BatchNorm (in eval mode) and the neurons of snnTorch, sinabs, Norse
        or SpikingJelly, in containers or in a forward of one time step, of a loop over time, or of whole sequences.
    input_shape : tuple of int, or dict of them by argument name
        Shape of one step's input without batch and time; not needed where a Linear comes first.
    sample : array or tensor, or dict of them by argument name
        What the module takes. The module and its import run on it, in double precision and from rest, and must give the
        same spikes. It also tells the shape of the input. A forward of one step gets it again and again, 32 steps long.
    time_axis : int
        For a forward of one step: the axis of *sample* that counts steps.

    Returns
    -------
    Graph
        Verified; ``graph.profile`` is set where there is a neuron.

    Raises
    ------
    ImportModelError
        E020 to E032: every layer that cannot be expressed, with its path and class; E033 where the module cannot run on
        the sample, E034 where its import gives other spikes.
    VerifyError
        E1xx to E3xx where the parameters are not sound (NaN, for instance).

    Examples
    --------
    >>> import snntorch, torch
    >>> from spikeport.compiler.importers.torch_module import from_torch
    >>> net = torch.nn.Sequential(torch.nn.Linear(4, 2), snntorch.Leaky(beta=0.9, init_hidden=True))
    >>> [node.path for node in from_torch(net)]
    ['0', '1', 'input', 'output']
    """
    return import_module(module, input_shape, sample, time_axis)[0]


def import_module(
    module: Any, input_shape: Any = None, sample: Any = None, time_axis: int | None = None
) -> tuple[Graph, tuple[Diagnostic, ...]]:
    """Return what :func:`from_torch` does, and what to know about it: E029 of hooks, E035 of ties, E036 of a readout."""
    if not isinstance(module, nn.Module):
        raise refusal(
            "E022", "", f"from_torch takes a torch.nn.Module, not {type(module).__name__}",
            "call the function that builds it" if callable(module) else "give the module itself",
        )  # fmt: skip
    module = _unwrapped(module)
    found = foreign_layers(module) or _replaced_forwards(module)
    if found:
        raise ImportModelError(found)
    root = as_container(module)
    check_arguments(input_shape, sample, time_axis)
    graph, step, builder = _imported(root, class_name(module), input_shape, sample, time_axis)
    doubts = hooked(module) + tuple(_readout(text) for text in dict.fromkeys(builder.readouts))
    doubts += tuple(_left_out(root, fired) for fired in dict.fromkeys(step.left_out))
    if sample is not None:
        twin = twin_of(root, step)
        own, step, builder = _imported(twin, class_name(module), input_shape, sample, time_axis)
        doubts += check_sample(root, twin, own, builder, sample, time_axis)
    return graph, doubts


def _imported(root: Any, name: str, input_shape: Any, sample: Any, time_axis: int | None) -> tuple[Graph, Step, Builder]:
    """Return the graph of *root*, and what it was built from."""
    unreadable = [d for path, layer in root.named_modules() for d in _without_numbers(layer, path)]
    if unreadable:
        raise ImportModelError(unreadable)
    traced = trace(root)
    _refuse_layers(root, [str(n.target) for n in traced.graph.nodes if n.op == "call_module"])
    step = read_step(root, traced)
    library = _library(root, step)
    builder = _build(root, step, given_shapes(step, input_shape, sample, time_axis))
    notes: dict[str, Any] = {"source": {"framework": "torch", "class": name}}
    if library is not None:
        notes["source"]["library"] = library.name
    graph = Graph(tuple(builder.nodes.values()), tuple(builder.edges), notes)
    profile = None if library is None else library.profile(graph, builder.axes.readings)
    graph = graph.replace(profile=profile)
    verify(graph, profile)
    return graph, step, builder


def _unwrapped(module: Any) -> Any:
    """Return what torch.compile or DataParallel is wrapped around."""
    while True:
        if type(module).__name__ == "OptimizedModule" and isinstance(getattr(module, "_orig_mod", None), nn.Module):
            module = module._orig_mod
        elif isinstance(module, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
            module = module.module
        else:
            return module


def _replaced_forwards(module: Any) -> list[Diagnostic]:
    """Return an error for every layer, and every part of one, that has another method than its class."""
    found = []
    for path, layer in module.named_modules():
        is_inside = any(is_leaf(module.get_submodule(path.rsplit(".", n)[0])) for n in range(1, path.count(".") + 1))
        replaced = [n for n, v in vars(layer).items() if callable(v) and inspect.isfunction(getattr(type(layer), n, None))]
        if not (is_leaf(layer) or is_inside):
            replaced = [n for n in replaced if n == "forward" and not path]  # other containers' are traced as they are
        if replaced:
            name, what = class_name(layer), " and ".join(sorted(replaced))
            text = f"the {what} of this {name} was replaced on the object, and its class does not show what it does"
            found.append(Diagnostic("E021", path, text, "write a module of your own with that method", {"class": name}))
    return found


def _build(root: Any, step: Step, given: Shapes) -> Builder:
    """Return the network built for the axes that its layers take in front of their own; the likeliest are tried first."""
    asked = (_lead(root.get_submodule(path)) for path in step.neurons)
    first: ImportModelError | None = None
    for lead in dict.fromkeys((*asked, STEP, MERGED, TIME_FIRST, BATCH_FIRST)):
        try:
            builder = Builder(Axes(root, step, input_shapes(root, step, given, lead), lead))
            builder.build()
        except ImportModelError as error:
            first = first or error
        else:
            return builder
    raise first if first is not None else TypeError("no lead was tried")


def _lead(neuron: Any) -> Lead:
    library = library_of(neuron)
    return STEP if library is None else library.lead(neuron)


def _left_out(root: Any, fired: Fired) -> Diagnostic:
    what = {"mem": "membrane", "syn": "synaptic current"}.get(fired.role, fired.role)
    name = class_name(root.get_submodule(fired.path))
    return Diagnostic(
        "E037", fired.path, f"the forward also returns the {what} of this {name}, which is no output of the graph",
        "record membranes with record_state=True, or --record-state", severity="note",
    )  # fmt: skip


def _readout(text: str) -> Diagnostic:
    return Diagnostic(
        "E036", "", f"the forward returns the {text}; the graph gives the spikes of every step",
        "do the same with what a run returns: result.out['output'].mean(axis=1), for instance", severity="note",
    )  # fmt: skip


def _refuse_layers(root: Any, paths: list[str]) -> None:
    """Refuse every layer that cannot be expressed, all at once."""
    found: list[Diagnostic] = []
    for path in dict.fromkeys(paths):
        layer = root.get_submodule(path)
        library = library_of(layer)
        plain = plain_of(layer)
        found += (
            library.refusals(layer, path)
            if library is not None
            else layer_refusals(layer, path)
            if plain is None
            else plain.refusals(layer, path) or option_refusals(layer, path)
        )
    if found:
        raise ImportModelError(found)


def _without_numbers(layer: Any, path: str) -> list[Diagnostic]:
    """Return which tensors of *layer* are no plain arrays of numbers."""
    found = []
    for name, tensor in (*layer.named_parameters(recurse=False), *layer.named_buffers(recurse=False)):
        if isinstance(tensor, nn.UninitializedParameter):
            continue  # a lazy layer, which is refused as such
        kind = "is quantized" if tensor.is_quantized else f"has the layout {tensor.layout}"
        if tensor.is_meta:
            kind = "is on the device 'meta', where tensors have no numbers"
        elif not tensor.is_quantized and tensor.layout == torch.strided:
            continue
        text = f"{name} of this {class_name(layer)} {kind}"
        found.append(Diagnostic("E021", path, text, "make it a dense tensor of floats", {"class": class_name(layer)}))
    return found


def _library(root: Any, step: Step) -> Library | None:
    """Return the library of the neurons; refuse a mixture."""
    found: dict[str, tuple[str, Library]] = {}
    for path in step.neurons:
        library = library_of(root.get_submodule(path))
        if library is not None:
            found.setdefault(library.name, (path, library))
    if len(found) > 1:
        where = ", ".join(f"{name} at {path}" for name, (path, _) in found.items())
        seldom = min(found, key=lambda name: sum(library_of(root.get_submodule(p)) is found[name][1] for p in step.neurons))
        others = " and ".join(name for name in found if name != seldom)
        raise refusal(
            "E028", found[seldom][0], f"neurons of several libraries in one module: {where}; each has its own step and order "
            "of updates, and a graph has one", f"write the {seldom} neurons with {others}, or import the parts by themselves",
            libraries=sorted(found),
        )  # fmt: skip
    return next((library for _, library in found.values()), None)


def hooked(module: Any) -> tuple[Diagnostic, ...]:
    """Return a warning E029 for every layer with forward hooks: code that its import does not see.

    Those of torch.nn.utils (pruning and norms of weights) are known. A hook that only records changes nothing, so this is
    a doubt and no refusal.
    """
    found = []
    for path, layer in module.named_modules():
        hooks = [*layer._forward_hooks.values(), *layer._forward_pre_hooks.values()]
        own = [h for h in hooks if not type(h).__module__.startswith("torch.nn.utils.")]
        is_read_as_a_whole = not path or not any(True for _ in layer.children()) or library_of(layer) is not None
        if own and is_read_as_a_whole:
            names = ", ".join(sorted({getattr(h, "__qualname__", type(h).__qualname__) for h in own}))
            text = f"this {class_name(layer)} has forward hooks ({names}); what they change is not imported"
            found.append(Diagnostic("E029", path, text, "fine where they only record; else remove them", {}, "warning"))
    return tuple(found)
