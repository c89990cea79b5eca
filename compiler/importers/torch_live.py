"""What of a traced forward is its step, and what is beside it: statistics that nothing uses, changes in place, kept values.

A forward may compute what never reaches an output or a neuron (``self.rate = spk.mean()``): that is left out. It is sound
because calls of torch have no effect beside their result, but for two kinds, which are looked at here: calls that change a
tensor in place (``x.add_(y)``, ``x += y``), where the old name is used again; and values that a call leaves in the module
for the next one (``self.trace = spk``), which would be a state outside of the neurons.
"""

from __future__ import annotations

from typing import Any

from torch import fx, nn

from spikeport.compiler.importers.torch_library import class_name, library_of, refusal

#: Functions whose result is the same memory under another form.
_VIEWS = frozenset((
    "view", "reshape", "flatten", "detach", "contiguous", "getitem", "select", "squeeze", "unsqueeze", "transpose", "permute",
    "dropout", "dropout1d", "dropout2d", "alpha_dropout", "to", "float", "double", "cpu", "cuda", "requires_grad_", "type_as",
))  # fmt: skip
#: Layers that may hand on the memory of their input.
_VIEW_LAYERS = (nn.Flatten, nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.AlphaDropout)


def kept_attribute(name: str) -> Any:
    """Stand in a traced graph for what an earlier call left in the attribute *name*; never run."""
    raise TypeError(name)


def is_kept(node: fx.Node) -> bool:
    """Whether *node* is what an earlier call left in an attribute."""
    return node.op == "call_function" and node.target is kept_attribute


def one_step_of(signal: Any) -> Any:
    """Stand in a traced graph for the view of one step of *signal*; never run."""
    raise TypeError(signal)


def all_steps_of(signal: Any, lead: tuple[str, ...]) -> Any:
    """Stand in a traced graph for the way back from ``one_step_of``; never run."""
    raise TypeError(signal)


def is_item_written(node: fx.Node) -> bool:
    """Whether *node* writes a part of a tensor: ``x[step] = y``."""
    return node.op == "call_function" and function_name(node) == "setitem" and isinstance(node.args[0], fx.Node)


def function_name(node: fx.Node) -> str:
    """Return the name of the function or method that *node* calls, without the underscores around it."""
    name = str(node.target) if node.op == "call_method" else getattr(node.target, "__name__", str(node.target))
    return name.strip("_") if name.startswith("__") else name


def place(node: fx.Node, root: Any) -> tuple[str, str]:
    """Return the path of the module whose forward makes the call *node*, and a text for it with class and line."""
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    path = str(stack[-1][0]) if stack else ""
    line = f" (line {node.meta['line']})" if node.meta.get("line") else ""
    return path, f"the forward of {class_name(root.get_submodule(path))}{line}"


def without_side_computations(root: Any, graph: fx.Graph) -> None:
    """Take out of *graph* what reaches neither an output nor a neuron.

    Raises
    ------
    ImportModelError
        E023 where what remains depends on a change in place that the trace does not show.
    """
    live = _live(root, graph)
    _refuse_changes_in_place(root, graph, live)
    for node in reversed(list(graph.nodes)):
        if node not in live and node.op != "placeholder":
            graph.erase_node(node)


def _live(root: Any, graph: fx.Graph) -> set[fx.Node]:
    """Return the nodes that an output or a neuron depends on; neurons are part of the network even where nothing does."""
    frontier = [n for n in graph.nodes if n.op == "output" or _neuron(root, n) is not None]
    live: set[fx.Node] = set()
    written: dict[fx.Node, list[fx.Node]] = {}
    for node in graph.nodes:
        if is_item_written(node):
            written.setdefault(node.args[0], []).append(node)
    while frontier:
        node = frontier.pop()
        if node not in live:
            live.add(node)
            frontier.extend(node.all_input_nodes)
            frontier.extend(written.get(node, ()))
            if is_kept(node) and node.meta["written"] is not None:
                frontier.append(node.meta["written"])
    return live


def _neuron(root: Any, node: fx.Node) -> Any:
    """Return the neuron that *node* calls, or None."""
    module = root.get_submodule(str(node.target)) if node.op == "call_module" else None
    return module if module is not None and library_of(module) is not None else None


def _refuse_changes_in_place(root: Any, graph: fx.Graph, live: set[fx.Node]) -> None:
    order = list(graph.nodes)
    for number, node in enumerate(order):
        changed = _changed_in_place(root, node)
        if changed is None:
            continue
        base = changed
        while _is_view(root, base) and base.all_input_nodes:
            base = base.all_input_nodes[0]
        name = function_name(node)
        if base.op == "get_attr":
            path, what = place(node, root)
            raise refusal(
                "E023", path, f"{what} changes a tensor in place ({name}), which every later call then finds "
                f"changed: {base.target}",
                "change it before the import, outside of the forward", function=name,
            )  # fmt: skip
        shared = _same_memory(root, base, order)
        after = [later for later in order[number + 1 :] if later in live and any(n in shared for n in later.all_input_nodes)]
        owner = _owner_of_state(root, base)
        if not (after or owner):
            continue
        path, what = place(node, root)
        why = "which is used again afterwards" if after else f"which may be a state of {owner}"
        raise refusal(
            "E023", path, f"{what} changes a tensor in place ({name}), {why}; a graph has values that do not change",
            "give the result a name of its own: y = x + 1 for x.add_(1) or x += 1", function=name,
        )  # fmt: skip


def _changed_in_place(root: Any, node: fx.Node) -> fx.Node | None:
    """Return the tensor that *node* writes into, or None."""
    if node.op == "call_module" and node.args and getattr(root.get_submodule(str(node.target)), "inplace", False):
        return None if _is_view(root, node) else node.all_input_nodes[0]
    if node.op not in ("call_function", "call_method"):
        return None
    out = node.kwargs.get("out")
    if isinstance(out, fx.Node):
        return out
    name = function_name(node)
    if name in _VIEWS:
        return None
    is_operator = node.op == "call_function" and name in ("iadd", "isub", "imul", "itruediv")
    first = node.args[0] if node.args else node.kwargs.get("input")
    if isinstance(first, fx.Node) and (is_operator or name.endswith("_") or node.kwargs.get("inplace") is True):
        return first
    return None


def _is_view(root: Any, node: fx.Node) -> bool:
    if node.op == "call_module":
        return isinstance(root.get_submodule(str(node.target)), _VIEW_LAYERS)
    if function_name(node) == "getattr":
        return node.args[1] in ("data", "v", "i", "z", "mT", "T")
    if function_name(node) == "getitem" and _neuron(root, node.all_input_nodes[0]) is not None:
        return False  # one of several results
    return node.op in ("call_function", "call_method") and function_name(node) in _VIEWS


def _same_memory(root: Any, base: fx.Node, order: list[fx.Node]) -> set[fx.Node]:
    """Return *base* and its views by other names; what a change in place returns is the new value, not an old name."""
    shared = {base}
    for node in order:
        if _is_view(root, node) and node.all_input_nodes and node.all_input_nodes[0] in shared:
            shared.add(node)
    return shared


def _owner_of_state(root: Any, base: fx.Node) -> str:
    """Return the path of the neuron that may keep *base*, one of its results, for its next step; else an empty string."""
    is_part = base.op == "call_function" and function_name(base) == "getitem"
    call = base.all_input_nodes[0] if is_part else base
    neuron = _neuron(root, call)
    library = None if neuron is None else library_of(neuron)
    if library is None:
        return ""
    is_spikes = not is_part or base.args[1] == 0
    return "" if is_spikes and "spk" not in library.state_arguments(neuron) else str(call.target)
