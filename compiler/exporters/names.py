"""Names that a torch module takes for its parts: the importers replace dots, and torch has names of its own."""

from __future__ import annotations

import builtins
import keyword
import re
from collections.abc import Mapping

from spikeport.ir.ops import Op

_TAKEN = (
    "T_destination add_module add_submodule append apply bfloat16 buffers call_super_init children clear code compile copy cpu "
    "cuda delete_all_unused_submodules delete_submodule double dump_patches eval extend extra_repr float forward fromkeys "
    "get get_buffer get_extra_state get_parameter get_submodule graph half insert ipu items keys load_state_dict meta "
    "modules mtia named_buffers named_children named_modules named_parameters parameters pop popitem print_readable "
    "recompile register_backward_hook register_buffer register_forward_hook register_forward_pre_hook "
    "register_full_backward_hook register_full_backward_pre_hook register_load_state_dict_post_hook "
    "register_load_state_dict_pre_hook register_module register_parameter register_state_dict_post_hook "
    "register_state_dict_pre_hook requires_grad_ set_extra_state set_submodule setdefault share_memory state "
    "state_dict stateful_modules to to_empty to_folder train training type update values xpu zero_grad "
    "execution_order return_state instantiate_modules get_execution_order get_input_nodes get_output_nodes is_none "
    "initialized_state self torch "
)
#: Names that torch's modules and nirtorch's graphs use themselves, so that no part of them can have them.
RESERVED = frozenset(_TAKEN.split())


def torch_names(ops: Mapping[str, Op], input_name: str) -> dict[str, str]:
    """Return a name for each node, its own path where that can be.

    Parameters
    ----------
    ops : Mapping of str to Op
        Nodes by path.
    input_name : str
        What the Input is called; the Output is called "output".

    Returns
    -------
    dict of str to str
        Names by path, all different.
    """
    names = {path: input_name if op.kind == "Input" else "output" for path, op in ops.items() if op.kind in ("Input", "Output")}
    for path in (p for p in ops if p not in names):
        name = re.sub(r"\W", "_", path, flags=re.ASCII)
        if name in RESERVED or keyword.iskeyword(name) or hasattr(builtins, name) or name.startswith("__"):
            name = f"node_{name}"
        while name in names.values() or name in ("input", "output", input_name):
            name += "_"
        names[path] = name
    return names
