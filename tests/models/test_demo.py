"""The demo: accuracy and three reports on standard output, the talk on standard error."""

import numpy as np
import pytest

from spikeport.models import demo


def test_the_demo_prints_accuracy_and_the_reports(capsys):
    demo.main(["--backend", "reference", "--samples", "40"])
    out, err = capsys.readouterr()
    for target in demo.TARGETS:
        assert f"  {target:12s} 40 of 40 correct" in out
        assert f"images on {target}" in err
    assert "energy a sample" in out
    assert "spinnaker1" in out.split("energy a sample")[0]
    assert "What to try next" in err
    assert "check YOUR.py:FUNCTION" in err


@pytest.mark.parametrize(
    ("correct", "total", "low", "high"), [(891, 899, 0.9825, 0.9955), (10, 10, 0.7225, 1.0), (0, 10, 0.0, 0.2775)]
)
def test_wilson_interval(correct, total, low, high):
    np.testing.assert_allclose(demo.interval(correct, total), (low, high), atol=5e-5)


def test_a_score_names_the_ties():
    text = demo.score(np.array([[2, 0], [1, 1]]), np.array([0, 1]))
    assert text.startswith("1 of 2 correct (50.00%, 95 % interval 9.5% to 90.5%; 1 ties")
