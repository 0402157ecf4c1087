"""What a tool's schema says about its arguments, as far as a person on a command line needs it."""

from __future__ import annotations

from typing import Any

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

DEEPEST = 5
"""Steps through references and alternatives: enough for what libraries write, and no loop."""

JSON_TYPES: tuple[tuple[type, str], ...] = (
    (bool, "boolean"),  # before int, which it is
    (int, "integer"),
    (float, "number"),
    (str, "string"),
    (list, "array"),
    (dict, "object"),
    (type(None), "null"),
)


def properties_of(schema: Any) -> dict[str, Any]:
    """The arguments by name; none if the schema has none, or is none."""
    found = schema.get("properties") if isinstance(schema, dict) else None
    return found if isinstance(found, dict) else {}


def required_of(schema: Any) -> list[Any]:
    """The names of those that must be given."""
    found = schema.get("required") if isinstance(schema, dict) else None
    return found if isinstance(found, list) else []


def types_of(schema: Any, root: Mapping[str, Any], depth: int = DEEPEST) -> list[str]:
    """The JSON types that a schema allows; empty if it does not say. `root` is where references lead.

    >>> types_of({"anyOf": [{"type": "integer"}, {"type": "null"}]}, {})
    ['integer', 'null']
    """
    if not isinstance(schema, dict) or depth == 0:
        return []
    if isinstance(schema.get("$ref"), str):
        return types_of(_referred(schema["$ref"], root), root, depth - 1)
    said = schema.get("type")
    if isinstance(said, str):
        return [said]
    if isinstance(said, list):
        return [one for one in said if isinstance(one, str)]
    for alternatives in (schema.get("anyOf"), schema.get("oneOf")):
        if isinstance(alternatives, list):
            each = [types_of(one, root, depth - 1) for one in alternatives]
            # One that says nothing allows everything.
            return list(dict.fromkeys(kind for kinds in each for kind in kinds)) if all(each) else []
    values = schema.get("enum", [schema["const"]] if "const" in schema else [])
    return list(dict.fromkeys(map(type_of, values))) if isinstance(values, list) else []


def type_of(value: Any) -> str:
    """The JSON type of a value.

    >>> type_of(True), type_of(1), type_of(1.5)
    ('boolean', 'integer', 'number')
    """
    return next(name for kind, name in JSON_TYPES if isinstance(value, kind))


def _referred(reference: str, root: Any) -> Any:
    """What a reference into the same document means: `#/$defs/Colour`."""
    place = root
    for step in reference.removeprefix("#/").split("/"):
        place = place.get(step) if isinstance(place, dict) else None
    return place
