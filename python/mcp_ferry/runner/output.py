"""What goes to stdout: tables, results, JSON."""

from __future__ import annotations

import os
import sys
import textwrap
from typing import Any

import orjson

from mcp_ferry.exceptions import FerryError
from mcp_ferry.logs import printable
from mcp_ferry.runner import schema as schemas

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

GAP = "  "
NARROWEST = 10
"""Columns that a column of a table keeps, however narrow the terminal."""

HEADINGS = {
    "tools": ("NAME", "ARGUMENTS", "DESCRIPTION"),
    "resources": ("NAME", "URI", "DESCRIPTION"),
    "templates": ("NAME", "URI TEMPLATE", "DESCRIPTION"),
    "prompts": ("NAME", "ARGUMENTS", "DESCRIPTION"),
}


def put(text: str | bytes) -> None:
    """Write to stdout, all of it and now. Raises `FerryError` if there is no room."""
    if sys.stdout is None:
        return
    try:
        sys.stdout.buffer.write(text if isinstance(text, bytes) else text.encode())
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise FerryError(f"cannot write to stdout ({error.strerror}); send it elsewhere") from None


def json_of(value: Any) -> bytes:
    """JSON for people, which programs read as well."""
    return orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def width_of_stdout() -> int | None:
    """The columns of the terminal that stdout is. Whatever else it is has room for any line."""
    try:
        return os.get_terminal_size(1).columns
    except OSError:
        return None


# Lists


def listing(kind: str, items: Sequence[Any], width: int | None) -> str:
    """A table of what a server lists, a line each where `width` permits."""
    rows = [row_of(kind, item if isinstance(item, dict) else {}) for item in items]
    return "".join(line + "\n" for line in table([HEADINGS[kind], *rows], width))


def row_of(kind: str, item: Mapping[str, Any]) -> tuple[str, ...]:
    """One line of the table, before it is brought to its width."""
    if kind == "tools":
        middle = arguments_of_tool(item.get("inputSchema"))
    elif kind == "prompts":
        middle = arguments_of_prompt(item.get("arguments"))
    else:
        middle = str(item.get("uri" if kind == "resources" else "uriTemplate") or "")
    about = str(item.get("description") or item.get("title") or "").strip()
    cells = (str(item.get("name") or ""), middle, about.partition("\n")[0])
    # A server's words are for reading: none of them may steer the terminal.
    return tuple(printable(cell.strip()) for cell in cells)


def arguments_of_tool(schema: Any) -> str:
    """As they are written on the command line, with a type for the value: `text=string [steps=integer]`."""
    required = schemas.required_of(schema)
    words = []
    for name, one in schemas.properties_of(schema).items():
        word = f"{name}={'|'.join(schemas.types_of(one, schema)) or 'any'}"
        words.append(word if name in required else f"[{word}]")
    return " ".join(words)


def arguments_of_prompt(arguments: Any) -> str:
    """Their names; all of them are texts."""
    found = [one for one in arguments if isinstance(one, dict)] if isinstance(arguments, list) else []
    return " ".join(f"{one.get('name')}" if one.get("required") else f"[{one.get('name')}]" for one in found)


def table(rows: Sequence[Sequence[str]], width: int | None) -> Iterator[str]:
    """Rows as lines, their cells broken where all of them are wider than `width`."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    if width is not None:
        room = width - len(GAP) * (len(widths) - 1)
        # The widest gives way first.
        while sum(widths) > room and max(widths) > NARROWEST:
            widths[widths.index(max(widths))] -= 1
    for row in rows:
        cells = [
            textwrap.wrap(cell, columns or 1, break_on_hyphens=False)
            for cell, columns in zip(row, widths, strict=True)
        ]
        for number in range(max(map(len, cells))):
            parts = [cell[number] if number < len(cell) else "" for cell in cells]
            yield GAP.join(map(str.ljust, parts, widths)).rstrip()


# Results


def result_of(result: Mapping[str, Any], *, for_terminal: bool) -> str:
    """A tool's result for reading: texts as they are, a line for what is none, then what is structured.

    Many servers give the structured part as a text as well; then it is shown once.
    """
    content = result.get("content")
    blocks = [one for one in content if isinstance(one, dict)] if isinstance(content, list) else []
    parts = [block_of(block) for block in blocks]
    structured = result.get("structuredContent")
    if structured is not None and not any(is_json_of(part, structured) for part in parts):
        parts.append(json_of(structured).decode())
    shown = "".join(part if part.endswith("\n") else part + "\n" for part in parts)
    return tamed(shown) if for_terminal else shown


def block_of(block: Mapping[str, Any]) -> str:
    """One part of a result."""
    kind = block.get("type")
    if kind == "text":
        return str(block.get("text", ""))
    if kind in {"image", "audio"}:
        return f"[{kind}: {about_bytes(block, 'data')}]"
    if kind == "resource_link":
        return f"[resource: {block.get('uri')}]"
    if kind == "resource" and isinstance(block.get("resource"), dict):
        resource = block["resource"]
        if "text" in resource:
            return str(resource["text"])
        return f"[resource: {resource.get('uri')}, {about_bytes(resource, 'blob')}]"
    return json_of(block).decode()


def about_bytes(block: Mapping[str, Any], member: str) -> str:
    """The type and size of what comes as base64, and how to have it."""
    data = str(block.get(member, ""))
    size = len(data) * 3 // 4 - data[-2:].count("=")
    return f"{block.get('mimeType', 'of unknown type')}, {size} bytes; --json has them"


def is_json_of(text: str, value: Any) -> bool:
    """Whether a text is this value, written out."""
    try:
        return bool(orjson.loads(text) == value)
    except orjson.JSONDecodeError:
        return False


def tamed(text: str) -> str:
    """A text of several lines that cannot steer the terminal."""
    return "".join(one if one in "\n\t" else printable(one) for one in text)
