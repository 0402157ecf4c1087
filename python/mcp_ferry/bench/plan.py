"""What to send, in which order, how much and how fast."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

FIELDS = {"arguments", "method", "name", "params", "tool", "weight"}
"""What an entry of a mix may have."""


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """A request that is sent again and again; each is equal to itself only."""

    name: str
    """How the report calls it."""
    method: str
    params: Mapping[str, Any]
    weight: int = 1
    """How often it is sent, in proportion to the others."""


@dataclass(frozen=True, slots=True)
class Load:
    """How much and how fast. At least one of `calls` and `duration` is set; what is reached first ends it."""

    concurrency: int
    """How many calls a session may have under way."""
    calls: int | None = None
    """How many calls, all sessions together."""
    duration: float | None = None
    """Seconds in which calls are begun."""
    rate: float | None = None
    """Calls begun a second, all sessions together; without it, a call begins when one before it has ended."""
    warm_up: int = 0
    """Calls made beforehand, which count nowhere."""


PING = Call("ping", "ping", {})
LIST = Call("tools/list", "tools/list", {})


def harmless(*, modern: bool) -> Call:
    """What every server answers and none minds: the era of 2026-07-28 has no ping."""
    return LIST if modern else PING


def tool_call(tool: str, arguments: Mapping[str, Any], weight: int = 1) -> Call:
    """A call of a tool."""
    return Call(tool, "tools/call", {"name": tool, "arguments": arguments}, weight)


def read_object(text: str) -> dict[str, Any]:
    """A JSON object; ValueError says what else it is."""
    try:
        value = json.loads(text)
    except ValueError as error:
        raise ValueError(f"this is not JSON ({error})") from None
    if not isinstance(value, dict):
        raise ValueError('this is JSON, but no object; write for example {"text": "x"}')
    return value


def read_mix(text: str) -> tuple[Call, ...]:
    """The entries of a mix file; ValueError says which is wrong, and what would be right."""
    try:
        entries = json.loads(text)
    except ValueError as error:
        raise ValueError(f"it is not JSON ({error})") from None
    if not isinstance(entries, list) or not entries:
        raise ValueError('a mix is a list of entries such as {"tool": "echo", "arguments": {}, "weight": 2}')
    calls = []
    for number, entry in enumerate(entries, 1):
        try:
            calls.append(read_entry(entry))
        except ValueError as error:
            raise ValueError(f"entry {number}: {error}") from None
    return distinct(calls)


def read_entry(entry: object) -> Call:
    """One entry: a tool with its arguments, or a method with its params."""
    if not isinstance(entry, dict):
        raise ValueError("it is no object")
    if unknown := sorted(entry.keys() - FIELDS):
        raise ValueError(f"it has {unknown[0]!r}, but may have {', '.join(sorted(FIELDS))}")
    weight = entry.get("weight", 1)
    if type(weight) is not int or weight < 1:
        raise ValueError("its weight has to be a whole number, 1 or more")
    if ("tool" in entry) == ("method" in entry):
        raise ValueError("it needs either a tool or a method")
    if "tool" in entry:
        call = tool_call(word(entry, "tool"), members(entry, "arguments"), weight)
    else:
        method = word(entry, "method")
        if method == "initialize" or method.startswith("notifications/"):
            raise ValueError(f"{method} cannot be put under load; name a request other than initialize")
        call = Call(method, method, members(entry, "params"), weight)
    return replace(call, name=word(entry, "name")) if "name" in entry else call


def word(entry: Mapping[str, Any], name: str) -> str:
    """A member that has to be a text with something in it."""
    value = entry[name]
    if not isinstance(value, str) or not value:
        raise ValueError(f"its {name} has to be a text")
    return value


def members(entry: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A member that has to be an object, and may be absent."""
    value = entry.get(name, {})
    if not isinstance(value, dict):
        raise ValueError(f"its {name} have to be an object")
    return value


def distinct(calls: Iterable[Call]) -> tuple[Call, ...]:
    """The calls under names that tell them apart."""
    seen: Counter[str] = Counter()
    found = []
    for call in calls:
        seen[call.name] += 1
        again = seen[call.name] > 1
        found.append(replace(call, name=f"{call.name} ({seen[call.name]})") if again else call)
    return tuple(found)


class Rotation:
    """Calls in turn by weight, evenly spread and without chance: the same mix is the same order.

    Each time every call gains its weight, the one that has most is sent and pays the weight of all.
    """

    def __init__(self, calls: Sequence[Call]) -> None:
        self._calls = calls
        self._gained = [0] * len(calls)
        self._all = sum(call.weight for call in calls)

    def next(self) -> Call:
        """The call whose turn it is."""
        if len(self._calls) == 1:
            return self._calls[0]
        for place, call in enumerate(self._calls):
            self._gained[place] += call.weight
        most = self._gained.index(max(self._gained))
        self._gained[most] -= self._all
        return self._calls[most]
