"""What `mcp-ferry call` makes of words, and both commands of results: no server and no process in it."""

from __future__ import annotations

from typing import Any

import pytest

from mcp_ferry.cli import UsageError
from mcp_ferry.runner import arguments, output, person, schema


def test_a_table_fits_the_terminal() -> None:
    rows = [("NAME", "ARGUMENTS", "DESCRIPTION"), ("n" * 30, "a=string " * 9, "word " * 40)]
    for width in (40, 60, 80, 200):
        lines = list(output.table(rows, width))
        assert max(map(len, lines)) <= width
        assert " ".join(lines).split().count("word") == 40
    assert len(list(output.table(rows, None))) == 2


def test_a_list_cannot_steer_the_terminal() -> None:
    tool = {"name": "x", "description": "\x1b[2Jgone", "inputSchema": {"properties": {"\x1b]0;t": {}}}}
    assert "\x1b" not in output.listing("tools", [tool], None)


@pytest.mark.parametrize(
    "item", [None, 7, {}, {"name": 1, "inputSchema": 2}, {"inputSchema": {"properties": []}, "arguments": {}}]
)
def test_any_list_can_be_shown(item: Any) -> None:
    for kind, headings in output.HEADINGS.items():
        assert output.listing(kind, [item], 40).startswith(headings[0])


SCHEMA = {
    "$defs": {"Size": {"enum": [1, 2]}, "Loop": {"$ref": "#/$defs/Loop"}},
    "properties": {
        "text": {"type": "string"},
        "count": {"type": "integer"},
        "ratio": {"type": "number"},
        "flag": {"type": "boolean"},
        "tags": {"type": "array"},
        "filter": {"type": ["object", "null"]},
        "maybe": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
        "either": {"oneOf": [{"type": "integer"}, {"type": "string"}]},
        "size": {"$ref": "#/$defs/Size"},
        "loop": {"$ref": "#/$defs/Loop"},
        "lost": {"$ref": "#/nowhere"},
        "open": {"anyOf": [{"type": "integer"}, {}]},
        "kind": {"const": 7},
        "odd": 3,
    },
    "required": ["text"],
}


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("text=7", "7"),
        ("text=a=b", "a=b"),
        ("text=", ""),
        ("url=http://x/?a:=1", "http://x/?a:=1"),
        ("count=7", 7),
        ("ratio=7", 7),
        ("ratio=-0.5", -0.5),
        ("flag=false", False),
        ('tags=["a", 1]', ["a", 1]),
        ('filter={"a": null}', {"a": None}),
        ("filter=null", None),
        ("maybe=3", 3),
        ("either=3", "3"),
        ("either:=3", 3),
        ("size=2", 2),
        ("loop=2", "2"),
        ("lost=2", "2"),
        ("open=2", "2"),
        ("kind=7", 7),
        ("odd=7", "7"),
        ("unknown=7", "7"),
        ('unknown:={"a": [1.5]}', {"a": [1.5]}),
    ],
)
def test_a_text_becomes_what_the_schema_says(word: str, value: Any) -> None:
    [typed] = arguments.read([word]).typed(SCHEMA).values()
    assert (typed, type(typed)) == (value, type(value))


@pytest.mark.parametrize(
    "word",
    [
        "count=secret",
        "count=1.5",
        "count=true",
        "ratio=secret",
        "flag=1",
        "tags=secret",
        "maybe=",
        "size=secret",
    ],
)
def test_a_text_that_cannot_be_that_is_refused_by_name(word: str) -> None:
    with pytest.raises(UsageError) as caught:
        arguments.read([word]).typed(SCHEMA)
    assert str(caught.value).startswith(word.partition("=")[0] + ": the tool wants ")
    assert "secret" not in str(caught.value)


def test_a_schema_that_branches_without_end_is_left() -> None:
    endless: dict[str, Any] = {"anyOf": [{"$ref": "#/a"}] * 9}
    assert schema.types_of(endless, {"a": endless}) == []


@pytest.mark.parametrize(
    ("result", "shown"),
    [
        ({}, ""),
        ({"content": 7}, ""),
        ({"content": [{"type": "text", "text": "a\n"}, {"type": "text", "text": "b"}]}, "a\nb\n"),
        ({"structuredContent": {"a": 1}}, '{\n  "a": 1\n}\n'),
        ({"content": [{"type": "text", "text": '{"a":1}'}], "structuredContent": {"a": 1}}, '{"a":1}\n'),
        (
            {"content": [{"type": "text", "text": "one"}], "structuredContent": {"a": 1}},
            'one\n{\n  "a": 1\n}\n',
        ),
        (
            {"content": [{"type": "image", "mimeType": "image/png", "data": "AAAAAA=="}]},
            "[image: image/png, 4 bytes; --json has them]\n",
        ),
        ({"content": [{"type": "resource_link", "uri": "a://b"}]}, "[resource: a://b]\n"),
        ({"content": [{"type": "resource", "resource": {"uri": "a://b", "text": "t"}}]}, "t\n"),
        (
            {"content": [{"type": "resource", "resource": {"uri": "a://b", "blob": "AAAA"}}]},
            "[resource: a://b, of unknown type, 3 bytes; --json has them]\n",
        ),
        ({"content": [{"type": "new"}]}, '{\n  "type": "new"\n}\n'),
    ],
)
def test_a_result_is_readable(result: dict[str, Any], shown: str) -> None:
    assert output.result_of(result, for_terminal=False) == shown


def test_a_result_cannot_steer_the_terminal() -> None:
    result = {"content": [{"type": "text", "text": "\x1b[2J\ta\nb"}]}
    assert output.result_of(result, for_terminal=True) == "\\x1b[2J\ta\nb\n"


@pytest.mark.parametrize(("number", "shown"), [(3.0, "3"), (0.5, "0.5"), (12345678, "12345678"), ("x", "x")])
def test_numbers_are_written_as_people_do(number: Any, shown: str) -> None:
    assert person.plain(number) == shown
