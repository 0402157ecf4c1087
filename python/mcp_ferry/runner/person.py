"""The person at the terminal: is shown progress, and answers what a server asks."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any

from mcp_ferry import settings
from mcp_ferry.logs import printable, say
from mcp_ferry.runner import schema as schemas

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

STDIN, STDERR = 0, 2
LONGEST_LINE = 65536
"""More than any terminal gives at once."""


def is_there() -> bool:
    """Whether somebody can read what is asked, and answer."""
    return os.isatty(STDIN) and os.isatty(STDERR)


def show_progress(done: Any, total: Any, message: Any) -> None:
    """A line for how far a call is."""
    line = f"mcp-ferry: {plain(done)}"
    if total is not None:
        line += f" of {plain(total)}"
    say(f"{line}: {message}" if message else line)


def plain(number: Any) -> str:
    """A number as people write it.

    >>> plain(3.0), plain(0.5)
    ('3', '0.5')
    """
    return str(int(number) if isinstance(number, float) and number.is_integer() else number)


def decline(params: Mapping[str, Any]) -> dict[str, Any]:
    """Answer for nobody."""
    say(f"mcp-ferry: declined what the server asks ({params.get('message')}); run it in a terminal to answer")
    return {"action": "decline"}


class Person:
    """Answers forms, one at a time."""

    def __init__(self) -> None:
        """Nobody has been asked yet."""
        self._turn = asyncio.Lock()

    async def answer(self, params: dict[str, Any]) -> dict[str, Any]:
        """Put a server's form to the person; `params` and result are those of `elicitation/create`."""
        if params.get("mode", "form") != "form":
            return decline(params)
        async with self._turn:
            show(f"The server asks: {params.get('message', '')}\n(Ctrl-D declines.)\n")
            content = await self._fill(params.get("requestedSchema"))
        return {"action": "decline"} if content is None else {"action": "accept", "content": content}

    async def _fill(self, schema: Any) -> dict[str, Any] | None:
        """The form's values by name, or None if the person would rather not."""
        content: dict[str, Any] = {}
        for name, field in schemas.properties_of(schema).items():
            value = await self._ask(
                name,
                field if isinstance(field, dict) else {},
                is_required=name in schemas.required_of(schema),
            )
            if value is REFUSED:
                return None
            if value is not NOTHING:
                content[name] = value
        if content or schemas.properties_of(schema):
            return content
        # Nothing to fill in: it is about consent.
        agreed = await self._ask("agreed", {"type": "boolean"}, is_required=True)
        return {} if agreed is True else None

    async def _ask(self, name: str, field: Mapping[str, Any], *, is_required: bool) -> Any:
        while True:
            show(question(name, field, is_required=is_required))
            text = await read_line()
            if text is None:
                show("\n")
                return REFUSED
            if not text and ("default" in field or not is_required):
                return field.get("default", NOTHING)
            try:
                return read_value(text, field)
            except ValueError as error:
                show(f"  {error}\n")


REFUSED, NOTHING = object(), object()
"""Answers that are no values."""


def question(name: str, field: Mapping[str, Any], *, is_required: bool) -> str:
    """What the person sees before the cursor."""
    notes = [" | ".join(choices_of(field)) or str(field.get("type", "string"))]
    if field.get("type") == "array":
        notes.append("with commas between")
    if "default" in field:
        notes.append(f"default {field['default']}")
    elif not is_required:
        notes.append("may be empty")
    about = field.get("description")
    return f"  {field.get('title') or name}{f', {about}' if about else ''} ({', '.join(notes)}): "


def choices_of(field: Mapping[str, Any]) -> list[str]:
    """The values that a field, or each of its items, may have; empty if that is open."""
    place = field.get("items") if field.get("type") == "array" else field
    if not isinstance(place, dict):
        return []
    titled = [one for word in ("oneOf", "anyOf") for one in listed(place.get(word)) if isinstance(one, dict)]
    return [str(one["const"]) for one in titled if "const" in one] or list(
        map(str, listed(place.get("enum")))
    )


def listed(value: Any) -> list[Any]:
    """The value, if it is a list."""
    return value if isinstance(value, list) else []


def read_value(text: str, field: Mapping[str, Any]) -> Any:
    """What the person wrote, as the form has it; raises ValueError with a remedy."""
    if not text:
        raise ValueError("it has to be given")
    choices = choices_of(field)
    kind = field.get("type")
    if kind == "array":
        return [chosen(one.strip(), choices) for one in text.split(",")]
    if kind == "boolean":
        return settings.read_switch({"y": "yes", "n": "no"}.get(text.lower(), text))
    if kind == "integer":
        return settings.read_count(text)
    if kind == "number":
        try:
            return float(text)
        except ValueError:
            raise ValueError(f"{text!r} is not a number; write for example 2.5") from None
    return chosen(text, choices)


def chosen(text: str, choices: list[str]) -> str:
    """The text, if it may be chosen."""
    if choices and text not in choices:
        raise ValueError(f"{text!r} is not among them; write one of {', '.join(choices)}")
    return text


def show(text: str) -> None:
    """Write to the terminal, the server's words without any that steer it."""
    sys.stderr.write("\n".join(map(printable, text.split("\n"))))
    sys.stderr.flush()


async def read_line() -> str | None:
    """A line from the terminal, or None at its end. A thread that reads could not be called off."""
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    loop.add_reader(STDIN, readable.set)
    try:
        await readable.wait()
    finally:
        loop.remove_reader(STDIN)
    line = os.read(STDIN, LONGEST_LINE)
    return line.decode(errors="replace").strip() if line else None
