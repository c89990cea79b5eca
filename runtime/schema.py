"""JSON Schema, as much of it as our own schemas use: what it does not know, it refuses rather than skips.

Source: JSON Schema 2020-12, https://json-schema.org/draft/2020-12.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,), "array": (list,), "string": (str,), "number": (int, float), "integer": (int,), "boolean": (bool,),
    "null": (type(None),),
}  # fmt: skip
_SAYS_NOTHING = {"$schema", "$id", "$defs", "title", "description", "examples", "$comment", "default"}
_KNOWN = _SAYS_NOTHING | {
    "$ref", "type", "const", "enum", "properties", "required", "additionalProperties", "propertyNames", "items", "prefixItems",
    "minItems", "maxItems", "minProperties", "minimum", "maximum", "exclusiveMinimum", "minLength", "pattern", "anyOf", "oneOf",
    "allOf",
}  # fmt: skip


def problems(value: Any, schema: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return where *value* breaks *schema*, as (path such as ``$.energy.total``, what is wrong).

    Raises
    ------
    ValueError
        Where the schema uses a keyword that is not known here.
    """
    return list(_problems(value, schema, "$", schema))


def _problems(value: Any, schema: Any, at: str, root: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if isinstance(schema, bool):
        if not schema:
            yield at, "is not allowed here"
        return
    unknown = set(schema) - _KNOWN
    if unknown:
        raise ValueError(f"the schema uses {', '.join(sorted(unknown))}, which this validator does not know")
    if "$ref" in schema:
        yield from _problems(value, _resolve(schema["$ref"], root), at, root)
    names = schema.get("type")
    if names is not None and not any(_is(value, n) for n in ([names] if isinstance(names, str) else names)):
        yield at, f"expected {names if isinstance(names, str) else ' or '.join(names)}, got {value!r:.60}"
        return
    if "const" in schema and value != schema["const"]:
        yield at, f"expected {schema['const']!r}, got {value!r:.60}"
    if "enum" in schema and value not in schema["enum"]:
        yield at, f"expected one of {schema['enum']}, got {value!r:.60}"
    yield from _alternatives(value, schema, at, root)
    if isinstance(value, dict):
        yield from _object(value, schema, at, root)
    elif isinstance(value, list):
        yield from _array(value, schema, at, root)
    elif isinstance(value, str):
        yield from _string(value, schema, at)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield from _number(value, schema, at)


def _is(value: Any, name: str) -> bool:
    if isinstance(value, bool):
        return name == "boolean"
    return isinstance(value, _TYPES[name]) or (name == "integer" and isinstance(value, float) and value.is_integer())


def _resolve(reference: str, root: Mapping[str, Any]) -> Any:
    found: Any = root
    for part in reference.removeprefix("#").strip("/").split("/"):
        found = found[part] if part else found
    return found


def _alternatives(value: Any, schema: Mapping[str, Any], at: str, root: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for part in schema.get("allOf", ()):
        yield from _problems(value, part, at, root)
    for key in ("anyOf", "oneOf"):
        if key in schema:
            found = [list(_problems(value, part, at, root)) for part in schema[key]]
            good = sum(not f for f in found)
            if not good:
                yield min(found, key=len)[0]
            elif key == "oneOf" and good > 1:
                yield at, f"fits {good} of the alternatives, not one"


def _object(value: dict[str, Any], schema: Mapping[str, Any], at: str, root: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name in schema.get("required", ()):
        if name not in value:
            yield at, f"has no {name!r}"
    if len(value) < schema.get("minProperties", 0):
        yield at, f"has {len(value)} entries, at least {schema['minProperties']} are needed"
    known = schema.get("properties", {})
    for name, item in value.items():
        if "propertyNames" in schema:
            yield from _problems(name, schema["propertyNames"], f"{at}.{name}", root)
        if name in known:
            yield from _problems(item, known[name], f"{at}.{name}", root)
        elif "additionalProperties" in schema:
            yield from _problems(item, schema["additionalProperties"], f"{at}.{name}", root)


def _array(value: list[Any], schema: Mapping[str, Any], at: str, root: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    low, high = schema.get("minItems", 0), schema.get("maxItems", len(value))
    if not low <= len(value) <= high:
        yield at, f"has {len(value)} items, expected {low} to {schema.get('maxItems', 'any number')}"
    first = schema.get("prefixItems", [])
    for number, item in enumerate(value):
        rule = first[number] if number < len(first) else schema.get("items", True)
        yield from _problems(item, rule, f"{at}[{number}]", root)


def _string(value: str, schema: Mapping[str, Any], at: str) -> Iterator[tuple[str, str]]:
    import re

    if len(value) < schema.get("minLength", 0):
        yield at, f"{value!r} is shorter than {schema['minLength']}"
    if "pattern" in schema and not re.search(schema["pattern"], value):
        yield at, f"{value!r:.60} does not match {schema['pattern']}"


def _number(value: float, schema: Mapping[str, Any], at: str) -> Iterator[tuple[str, str]]:
    if value < schema.get("minimum", value) or value > schema.get("maximum", value):
        yield at, f"{value} is not between {schema.get('minimum', 'any')} and {schema.get('maximum', 'any')}"
    if "exclusiveMinimum" in schema and value <= schema["exclusiveMinimum"]:
        yield at, f"{value} is not above {schema['exclusiveMinimum']}"
