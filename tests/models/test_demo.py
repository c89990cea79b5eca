"""The demo: accuracy and three reports on standard output, the talk on standard error."""

import numpy as np
import pytest

from spikeport.models import demo


def test_the_demo_prints_accuracy_and_the_reports(capsys):
    demo.main(["--backend", "reference", "--samples", "40"])
    out, err = capsys.readouterr()
    for target in demo.TARGETS["digits_conv"]:
        assert f"  {target:12s} 40 of 40 correct" in out
        assert f"images on {target}" in err
    assert "energy a sample" in out
    assert "spinnaker1" in out.split("energy a sample")[0]
    assert "What to try next" in err
    assert "check YOUR.py:FUNCTION" in err


@pytest.mark.parametrize(("model", "right"), [("digits_dense", 39), ("digits_rows", 38)])
def test_the_demo_shows_the_other_networks_on_their_chips(capsys, model, right):
    demo.main(["--model", model, "--backend", "reference", "--samples", "40"])
    out, err = capsys.readouterr()
    for target in demo.TARGETS[model]:
        assert f"  {target:12s} {right} of 40 correct" in out
    assert f"{model}.nir: a " in err
    assert " of 138 neurons, trained with " in err


def test_a_score_names_the_ties():
    text = demo.score(np.array([[2, 0], [1, 1]]), np.array([0, 1]))
    assert text.startswith("1 of 2 correct (50.00%, 95 % interval 9.5% to 90.5%; 1 ties")
