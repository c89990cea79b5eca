import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from small_models import PROFILE, small_graph, spikes

from spikeport.ir.diagnostics import UsageError
from spikeport.runtime import api
from spikeport.runtime.reports import read_report, schema, write_report
from spikeport.runtime.schema import problems

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats(-2, 2) | st.sampled_from(["", "a", "ab", "spike"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=5,
)
SCHEMAS = st.deferred(
    lambda: (
        st.booleans()
        | st.fixed_dictionaries(
            {},
            optional={
                "type": st.sampled_from(
                    ["object", "array", "string", "number", "integer", "boolean", "null", ["string", "null"]]
                ),
                "enum": st.lists(st.sampled_from(["a", "ab", 2, None]), min_size=1, max_size=3, unique_by=str),
                "properties": st.dictionaries(st.sampled_from("abc"), SCHEMAS, max_size=2),
                "required": st.lists(st.sampled_from("abc"), max_size=2, unique=True),
                "additionalProperties": SCHEMAS,
                "items": SCHEMAS,
                "prefixItems": st.lists(SCHEMAS, min_size=1, max_size=2),
                "minItems": st.integers(0, 2),
                "maxItems": st.integers(0, 2),
                "minimum": st.integers(-2, 2),
                "maximum": st.integers(-2, 2),
                "exclusiveMinimum": st.integers(-2, 2),
                "minLength": st.integers(0, 2),
                "pattern": st.sampled_from(["^a", "b$"]),
                "anyOf": st.lists(SCHEMAS, min_size=1, max_size=2),
                "oneOf": st.lists(SCHEMAS, min_size=1, max_size=2),
                "allOf": st.lists(SCHEMAS, min_size=1, max_size=2),
            },
        )
    )
)


@settings(max_examples=80, deadline=None)
@given(SCHEMAS, VALUES)
def test_it_judges_as_jsonschema_does(rule, value):
    wrapped = {"allOf": [rule]}
    assert (not problems(value, wrapped)) == Draft202012Validator(wrapped).is_valid(value)


def test_what_it_does_not_know_it_refuses():
    with pytest.raises(ValueError, match="uses not, which"):
        problems(1, {"not": {}})


def test_the_published_schema_and_our_reports_fit(tmp_path):
    Draft202012Validator.check_schema(schema())
    for target in (None, "loihi2", "spinnaker1"):
        report = api.run(small_graph(), spikes((3, 9, 4)), "reference", target=target, profile=PROFILE).report
        write_report(report, tmp_path / "r.json")
        data = json.loads((tmp_path / "r.json").read_text())
        assert problems(data, schema()) == []
        assert Draft202012Validator(schema()).is_valid(data)
        assert read_report(tmp_path / "r.json").to_json() == data


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": "spikeport report 1"}', '{"a": NaN}', "[" * 10_000])
def test_what_is_no_report(tmp_path, text):
    (tmp_path / "r.json").write_text(text)
    with pytest.raises(UsageError, match="E632"):
        read_report(tmp_path / "r.json")


def test_where_a_report_is_wrong_is_named(tmp_path):
    report = api.run(small_graph(), spikes((3, 9, 4)), "reference", profile=PROFILE).report
    data = report.to_json()
    data["samples"] = "three"
    data["energy_total"]["total"]["class"] = "guessed"
    (tmp_path / "r.json").write_text(json.dumps(data))
    with pytest.raises(UsageError) as caught:
        read_report(tmp_path / "r.json")
    text = str(caught.value)
    assert "$.samples expected integer, got 'three'" in text
    assert "$.energy_total.total.class" in text
