import dataclasses
from typing import ClassVar

import numpy as np
import pytest
from small_models import small_graph

from spikeport.compiler.passes.base import Pass, PassContext
from spikeport.compiler.passes.dead import Dead
from spikeport.compiler.passes.table import LEVELS, PASSES
from spikeport.compiler.pipeline import Pipeline
from spikeport.ir import Edge, parse_profile
from spikeport.ir.diagnostics import Diagnostic, InternalError, PassError, UsageError
from spikeport.ir.ops import Affine

CTX = PassContext(parse_profile("norse,dt=1e-3"))


@dataclasses.dataclass(frozen=True, slots=True)
class Halve(Pass):
    """Multiplies weights; options of every type."""

    factor: float = 0.5
    times: int = 1
    exact: bool = False
    only: tuple[str, ...] = ()
    limit: float | None = None
    word: str = "x"

    name: ClassVar[str] = "halve"
    summary: ClassVar[str] = "test"
    is_lossless: ClassVar[bool] = False

    def apply(self, graph, ctx):
        def change(node):
            if isinstance(node.op, Affine) and (not self.only or node.path in self.only):
                return dataclasses.replace(node.op, weight=node.op.weight * self.factor**self.times)
            return node.op

        return graph.map_ops(change)


@dataclasses.dataclass(frozen=True, slots=True)
class Breaks(Pass):
    """Fails in one of three ways."""

    how: str = "refuse"
    name: ClassVar[str] = "breaks"
    summary: ClassVar[str] = "test"
    is_lossless: ClassVar[bool] = False

    def apply(self, graph, ctx):
        if self.how == "refuse":
            raise PassError(Diagnostic("E999", "fc1", "cannot halve this"))
        if self.how == "raise":
            raise ZeroDivisionError("by nought")
        return graph.replace(edges=[*graph.edges, Edge("hidden", "nowhere")])


KNOWN = {**PASSES, "halve": Halve, "breaks": Breaks}


@pytest.mark.parametrize(
    "text",
    ["", "canonicalise", "canonicalise,dead{keep=}", "dead{keep=a.b|c}",
     "halve{factor=0.1,times=3,exact=yes,only=fc1|fc2,limit=none,word=y},canonicalise",
     "halve{factor=1e-300,times=-2,exact=no,only=,limit=0.25,word=x}"],
)  # fmt: skip
def test_text_parses_and_prints_back(text):
    assert str(Pipeline.parse(text, KNOWN)) == text
    assert Pipeline.parse(str(Pipeline.parse(text, KNOWN)), KNOWN) == Pipeline.parse(text, KNOWN)


def test_options_left_out_take_their_defaults():
    assert Pipeline.parse(" halve{ factor = 0.25 } , dead ", KNOWN).passes == (Halve(factor=0.25), Dead())


@pytest.mark.parametrize(
    ("text", "code", "say"),
    [("canonicalize", "E901", "did you mean 'canonicalise'?"),
     ("halve{factor", "E902", "cannot read the pipeline from 'halve{factor'"),
     ("halve,,dead", "E902", "cannot read"), ("halve,", "E902", "cannot read"), ("halve dead", "E902", "cannot read"),
     ("halve{factr=1}", "E903", "did you mean 'factor'?"), ("halve{factor}", "E903", "cannot read 'factor'"),
     ("halve{times=1.5}", "E903", "cannot be '1.5'"), ("halve{exact=maybe}", "E903", "'maybe'"),
     ("halve{times=1,times=2}", "E903", "'times' twice"), ("canonicalise{x=1}", "E903", "takes no option 'x'")],
)  # fmt: skip
def test_wrong_text_is_refused_with_what_would_be_right(text, code, say):
    with pytest.raises(UsageError) as caught:
        Pipeline.parse(text, KNOWN)
    assert caught.value.diagnostics[0].code == code
    assert say in str(caught.value)


def test_levels_exist_and_others_do_not():
    assert [str(Pipeline.level(i)) for i in range(len(LEVELS))] == ["", "canonicalise", "canonicalise,dead{keep=}"]
    with pytest.raises(UsageError, match="E904"):
        Pipeline.level(3)


def test_run_records_each_pass():
    graph = small_graph()
    after, records = Pipeline.parse("canonicalise,halve{only=fc1},dead", KNOWN).run(graph, CTX)
    assert [r["name"] for r in records] == ["canonicalise", "halve", "dead"]
    assert records[0]["before"] == graph.digest
    assert [r["after"] for r in records] == [records[1]["before"], records[2]["before"], after.digest]
    assert records[0]["nodes"] == [8, 6]
    assert records[0]["synapses"] == [42, 42]
    assert records[0]["touched"] == ["fc2", "readout"]
    assert records[1]["touched"] == ["fc1"]
    assert records[2]["touched"] == []
    assert all(r["seconds"] >= 0 for r in records)
    assert np.array_equal(after["fc1"].op.weight, graph["fc1"].op.weight * 0.5)


def test_the_argument_stays_as_it_was():
    graph = small_graph()
    before = graph.digest
    Pipeline.parse("halve,canonicalise,dead", KNOWN).run(graph, CTX)
    assert small_graph().digest == before == graph.replace().digest


def test_the_pass_that_failed_is_named():
    with pytest.raises(PassError) as caught:
        Pipeline.parse("canonicalise,breaks", KNOWN).run(small_graph(), CTX)
    assert "pass 2 of 2, breaks{how=refuse}: cannot halve this" in str(caught.value)
    assert caught.value.diagnostics[0].path == "fc1"


@pytest.mark.parametrize(("how", "say"), [("raise", "failed: ZeroDivisionError: by nought"), ("edge", "does not verify")])
def test_a_pass_that_breaks_is_our_bug(how, say):
    with pytest.raises(InternalError) as caught:
        Pipeline.parse(f"breaks{{how={how}}}", KNOWN).run(small_graph(), CTX)
    assert f"pass 1 of 1, breaks{{how={how}}}" in str(caught.value)
    assert say in str(caught.value)
    assert caught.value.exit_code == 70


def test_every_pass_has_one_name_and_a_summary():
    for name, cls in PASSES.items():
        assert cls.name == name
        assert cls.summary
        assert cls().apply(small_graph(), CTX) is not None
