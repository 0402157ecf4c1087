"""A tool's arguments, from the words of a command line."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import Any

import orjson

from mcp_ferry.cli import UsageError
from mcp_ferry.runner import schema as schemas

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

HOW = "write NAME=VALUE, NAME:=JSON, one JSON object, or - for one from stdin"


@dataclass(frozen=True)
class Arguments:
    """What was given, before the tool's schema has been seen.

    Errors repeat names and no values: who knows what is secret about them.
    """

    known: dict[str, Any] = field(default_factory=dict)
    """Those that were given as JSON."""
    texts: dict[str, str] = field(default_factory=dict)
    """Those that were given as text, which may stand for something else."""

    def typed(self, schema: Any) -> dict[str, Any]:
        """All of them, as the tool's schema has them. Raises `UsageError` for a text that cannot be that.

        >>> Arguments({}, {"a": "1", "b": "1"}).typed({"properties": {"a": {"type": "number"}}})
        {'a': 1, 'b': '1'}
        """
        properties = schemas.properties_of(schema)
        return self.known | {
            name: _typed(name, text, schemas.types_of(properties.get(name), schema))
            for name, text in self.texts.items()
        }


def read(words: Sequence[str]) -> Arguments:
    """Understand the words after a tool's name, or raise `UsageError`."""
    if len(words) == 1 and words[0] == "-":
        data = sys.stdin.buffer.read() if sys.stdin is not None else b""
        return Arguments(_object(data, "stdin"))
    if len(words) == 1 and words[0].lstrip().startswith("{"):
        return Arguments(_object(words[0], "the arguments"))
    found = Arguments()
    for place, word in enumerate(words, 1):
        name, sign, text = word.partition("=")
        is_json = name.endswith(":")
        name = name.removesuffix(":")
        if not sign or not name:
            raise UsageError(f"argument {place} is not understood; {HOW}")
        if name in found.known or name in found.texts:
            raise UsageError(f"{name}: it is given twice; for a list write {name}:='[..., ...]'")
        if is_json:
            found.known[name] = _json(text, name)
        else:
            found.texts[name] = text
    return found


def _object(text: str | bytes, source: str) -> dict[str, Any]:
    value = _json(text, source)
    if not isinstance(value, dict):
        raise UsageError(f'{source}: it is JSON, but no object; write for example {{"name": "value"}}')
    return value


def _json(text: str | bytes, source: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise UsageError(f"{source}: it is not JSON ({error}); {HOW}") from None


def _typed(name: str, text: str, types: Sequence[str]) -> Any:
    if not types or "string" in types:
        return text
    wanted = " or ".join(types)
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        value = text
    kind = schemas.type_of(value)
    if kind not in types and not (kind == "integer" and "number" in types):
        raise UsageError(f"{name}: the tool wants {wanted}; write it as JSON has it, or {name}:=JSON at will")
    return value
