"""The check of an export: what is not installed is said, what an importer raises is its refusal, ties are told apart."""

import importlib

import numpy as np
import pytest
from random_exports import random_network

from spikeport.compiler.exporters import check as check_module
from spikeport.compiler.exporters.check import check, random_input
from spikeport.compiler.exporters.export import export_nir
from spikeport.compiler.exporters.libraries import LIBRARIES
from spikeport.ir.diagnostics import UnsupportedError
from spikeport.ir.network import build_network


@pytest.fixture
def case(tmp_path):
    graph, profile = random_network("norse", "dense", 0)
    export_nir(graph, profile, tmp_path / "f.nir", "norse")
    return tmp_path / "f.nir", build_network(graph, profile, "float32")


def test_without_the_library_the_export_says_that_it_was_not_checked(tmp_path, monkeypatch):
    real = importlib.import_module

    def absent(name, *args):
        if name == "norse":
            raise ImportError("No module named 'norse'")
        return real(name, *args)

    monkeypatch.setattr(importlib, "import_module", absent)
    graph, profile = random_network("norse", "dense", 0)
    found = export_nir(graph, profile, tmp_path / "f.nir", "norse")
    assert (found[-1].code, found[-1].severity) == ("E582", "warning")
    assert "not checked: Norse is not installed" in found[-1].message
    assert (tmp_path / "f.nir").is_file()


def test_what_an_importer_raises_is_told(case, monkeypatch):
    def fails(graph, x):
        print("noise")
        raise KeyError("no such thing")

    monkeypatch.setitem(check_module._RUNNERS, "norse", fails)
    with pytest.raises(UnsupportedError, match=r"E581.*import of the file failed with KeyError: 'no such thing'"):
        check(*case, LIBRARIES["norse"])


def test_a_single_different_output_is_found(case, monkeypatch, capsys):
    real = check_module._RUNNERS["norse"]

    def flips(graph, x):
        print("noise")
        out = real(graph, x)
        out[0, 3, 1] = 1 - out[0, 3, 1]
        return out

    monkeypatch.setitem(check_module._RUNNERS, "norse", flips)
    with pytest.raises(UnsupportedError, match=r"1 outputs differ .* in sample 0 at step 3"):
        check(*case, LIBRARIES["norse"])
    assert capsys.readouterr() == ("", "")


def test_a_difference_after_a_tie_is_excused_and_said(case, monkeypatch):
    path, network = case
    x = random_input(network, 0)
    ties = [x.shape[1]] * x.shape[0]
    ties[2] = 90
    real = check_module._RUNNERS["norse"]

    def differs(graph, values):
        out = real(graph, values)
        out[2, 95:] = 1 - out[2, 95:]
        return out

    monkeypatch.setitem(check_module._RUNNERS, "norse", differs)
    monkeypatch.setattr(check_module, "_ties", lambda network, x: ties)
    note = check(path, network, LIBRARIES["norse"])
    assert note.code == "E583"
    assert "near-threshold ties of float32 in 1 samples" in note.message
    ties[2] = 100
    with pytest.raises(UnsupportedError, match="in sample 2 at step 95"):
        check(path, network, LIBRARIES["norse"])


def test_ties_are_steps_where_our_own_outputs_hang_on_the_last_places(case):
    _, network = case
    ties = check_module._ties(network, random_input(network, 0))
    assert len(ties) == 6
    assert max(ties) == 100


def test_inputs_of_large_networks_are_shorter(case):
    _, network = case
    x = random_input(network, 0)
    assert x.shape == (6, 100, 5)
    assert np.array_equal(x, random_input(network, 0))
    assert set(np.unique(x[3])) == {0.0, 3.0}
