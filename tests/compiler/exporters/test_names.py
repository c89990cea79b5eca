"""Names of exported nodes: those of the graph where torch takes them."""

import nirtorch
import numpy as np
import torch
from nirtorch.graph_executor import GraphExecutor

from spikeport.compiler.exporters.names import RESERVED, torch_names
from spikeport.ir.ops import Input, Linear, Output


def test_every_name_that_torch_has_is_reserved():
    assert nirtorch
    taken = {n for cls in (torch.nn.ModuleDict, torch.fx.GraphModule, GraphExecutor) for n in dir(cls) if n[0] != "_"}
    assert taken - {n for n in taken if hasattr(__builtins__, n)} <= RESERVED | {"state"}


def test_names_are_kept_mended_and_all_different():
    layer = Linear(np.eye(1))
    ops = {"in": Input((1,)), "out": Output((1,)), "fc1": layer, "a.b": layer, "a_b": layer, "train": layer, "if": layer,
           "input": layer, "x-1": layer, "0": layer}  # fmt: skip
    assert torch_names(ops, "input") == {
        "in": "input", "out": "output", "fc1": "fc1", "a.b": "a_b", "a_b": "a_b_", "train": "node_train", "if": "node_if",
        "input": "node_input", "x-1": "x_1", "0": "0",
    }  # fmt: skip
