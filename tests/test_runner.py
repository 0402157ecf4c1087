"""`mcp-ferry list` and `mcp-ferry call` as a script meets them: what is sent, what is shown, which status."""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any

import pytest

from mcp_ferry import Server
from tests.support.ferry import DEADLINE, MODULE, clean_environment, command
from tests.support.peer import Exchange, Peer
from tests.support.runner import NOWHERE, answering, one_line


def arguments_sent(seen: list[Any]) -> Any:
    """What the one call had for arguments."""
    [call] = [message for message in seen if message and message.get("method") == "tools/call"]
    return call["params"]["arguments"]


def test_tools_are_listed_with_what_they_take() -> None:
    with Server() as server:
        shown = command("list", server.url)
    assert (shown.returncode, shown.stderr) == (0, "")
    heading, *lines = shown.stdout.splitlines()
    assert heading.split() == ["NAME", "ARGUMENTS", "DESCRIPTION"]
    assert lines[0].split("  ")[0] == "echo"
    assert "a=number b=number" in lines[1]
    assert "[ms=number] [seconds=number] [steps=integer]" in lines[2]
    assert len(lines) == 4, "a line each, where there is no terminal"


def test_the_url_may_come_from_the_environment() -> None:
    with Server() as server:
        assert "echo" in command("list", MCP_FERRY_URL=server.url).stdout
        assert command("call", "echo", "text=x", MCP_FERRY_URL=server.url).stdout == "x\n"


@pytest.mark.parametrize("what", ["resources", "templates", "prompts"])
def test_each_kind_has_its_table(what: str) -> None:
    results = {
        "resources/list": {"resources": [{"name": "r", "uri": "a://r", "title": "T"}]},
        "resources/templates/list": {
            "resourceTemplates": [{"name": "r", "uriTemplate": "a://{x}", "description": " one \n two"}]
        },
        "prompts/list": {
            "prompts": [{"name": "r", "arguments": [{"name": "x", "required": True}, {"name": "y"}]}]
        },
    }
    rows = {"resources": "r  a://r  T", "templates": "r  a://{x}  one", "prompts": "r  x [y]"}
    with Peer(answering(results)) as peer:
        shown = command("list", "--what", what, peer.url)
    assert [" ".join(line.split()) for line in shown.stdout.splitlines()[1:]] == [
        " ".join(rows[what].split())
    ]


def test_all_is_what_the_server_says_that_it_has() -> None:
    seen: list[Any] = []
    results = {"tools/list": {"tools": []}, "resources/list": {"resources": [{"name": "r", "uri": "a://r"}]}}
    with Peer(answering(results, seen, resources={}, tools={})) as peer:
        shown = command("list", "--what=all", peer.url)
        parsed = json.loads(command("list", "--what=all", "--json", peer.url).stdout)
    assert shown.returncode == 0
    assert shown.stdout.startswith("Resources\nNAME")
    assert shown.stderr == "mcp-ferry: the server lists no tools\n"
    assert parsed == {"tools": [], "resources": [{"name": "r", "uri": "a://r"}]}
    methods = [message["method"] for message in seen if message]
    assert "prompts/list" not in methods
    assert "resources/templates/list" in methods


def test_json_is_what_the_server_listed() -> None:
    tools = [{"name": "x", "more": [1, 1.0, None, "ü"], "inputSchema": {"type": "object"}}, {"name": "y"}]
    with Peer(answering({"tools/list": {"tools": tools}})) as peer:
        shown = command("list", "--json", peer.url)
    assert json.loads(shown.stdout) == tools
    assert "1.0" in shown.stdout


def test_a_list_that_the_server_does_not_have_is_one_line() -> None:
    with Peer(answering({"prompts/list": -32603})) as peer:
        assert "the server says: no (-32601); it does not offer this" in one_line(
            command("list", peer.url), 1
        )
        said = one_line(command("list", "--what", "prompts", peer.url), 1)
        assert "(-32603); the server's own log" in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["secret"], "argument 1 is not understood"),
        (["a=1", "=secret"], "argument 2 is not understood"),
        (["a=1", "{}"], "argument 2 is not understood"),
        (["a=1", "a:=secret"], "a: it is given twice"),
        (["a:=secret"], "a: it is not JSON"),
        (["{secret"], "the arguments: it is not JSON"),
    ],
)
def test_arguments_that_cannot_be_read_are_refused_before_anything_is_sent(
    words: list[str], said: str
) -> None:
    line = one_line(command("call", NOWHERE, "tool", *words), 2)
    assert said in line
    assert "secret" not in line


@pytest.mark.parametrize(
    ("words", "stdin", "sent"),
    [
        ([], "", {}),
        (["a=1", "--json", 'b:=["x"]'], "", {"a": 1, "b": ["x"]}),
        (['{"a": "1"}'], "", {"a": "1"}),
        (["-"], '{"a": {"b": "ü"}}', {"a": {"b": "ü"}}),
    ],
)
def test_arguments_reach_the_tool(words: list[str], stdin: str, sent: Any) -> None:
    seen: list[Any] = []
    tools = [{"name": "other"}, {"name": "t", "inputSchema": {"properties": {"a": {"type": "integer"}}}}]
    with Peer(answering({"tools/list": {"tools": tools}, "tools/call": {"content": []}}, seen)) as peer:
        ended = command("call", peer.url, "t", *words, stdin=stdin)
    assert ended.returncode == 0, ended.stderr
    assert arguments_sent(seen) == sent
    asked = [message for message in seen if message and message.get("method") == "tools/list"]
    assert len(asked) == any("a=1" in word for word in words), "the list is asked for only if it is needed"


def test_stdin_has_to_be_an_object() -> None:
    assert "stdin: it is JSON, but no object" in one_line(command("call", NOWHERE, "t", "-", stdin="[]"), 2)
    assert "stdin: it is not JSON" in one_line(command("call", NOWHERE, "t", "-"), 2)


def test_settings_and_era_reach_the_server() -> None:
    seen: set[Any] = set()
    methods: list[Any] = []
    answer = answering({"tools/call": {"content": []}}, methods)

    def noting(exchange: Exchange) -> None:
        seen.add((exchange.headers["x-team"], exchange.headers["authorization"]))
        answer(exchange)

    with Peer(noting) as peer:
        ended = command(
            *("call", "--era", "legacy", "--header", "X-Team: blue", peer.url, "t"), MCP_AUTH="Bearer s3cret"
        )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert seen == {("blue", "Bearer s3cret")}
    assert "server/discover" not in [message["method"] for message in methods if message]


def test_texts_are_printed_as_they_are_and_json_is_the_whole_result() -> None:
    with Server() as server:
        shown = command("call", server.url, "echo", "text=über\n\x1b[1m")
        whole = command("call", "--json", server.url, "echo", "text=über")
    assert (shown.returncode, shown.stdout, shown.stderr) == (0, "über\n\x1b[1m\n", "")
    assert json.loads(whole.stdout) == {"content": [{"type": "text", "text": "über"}]}


def test_a_tool_that_fails_is_told_by_the_status() -> None:
    result = {"content": [{"type": "text", "text": "no such tide"}], "isError": True}
    with Peer(answering({"tools/call": result})) as peer:
        ended = command("call", peer.url, "t")
        whole = command("call", "--json", peer.url, "t")
    assert (ended.returncode, ended.stdout) == (1, "no such tide\n")
    assert ended.stderr == "mcp-ferry: the tool t failed, and says why in its result\n"
    assert (whole.returncode, json.loads(whole.stdout)) == (1, result)


def test_what_goes_wrong_is_one_line_with_a_remedy() -> None:
    with Server() as server:
        said = one_line(command("call", server.url, "nothing"), 1)
    assert "Unknown tool: nothing (-32602); mcp-ferry list shows" in said
    said = one_line(command("call", "--timeout", "0.2", server.url, "echo"), 1)
    assert said.startswith("mcp-ferry: cannot reach")
    with Peer(answering({"tools/call": "no object"})) as peer:
        assert "the result is no object" in one_line(command("call", peer.url, "t"), 1)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["list"], "no URL; "),
        (["list", "localhost:8000/mcp"], "no URL; "),
        (["call", "tool"], "no URL; "),
        (["list", NOWHERE, NOWHERE], "more than one URL; see mcp-ferry list --help"),
        (["list", "--what", "all-of-it", NOWHERE], "--what"),
        (["list", "--era", "old", NOWHERE], "--era"),
        (["list", "--jsno", NOWHERE], "unknown option --jsno"),
        (["call", NOWHERE], "no tool; "),
        (["call", NOWHERE, "tool", "--auht=s3cret"], "unknown option --auht;"),
        (["call", "ftp://localhost/mcp", "tool"], "URL: "),
        (["call", NOWHERE, "tool", "--timeout", "soon"], "--timeout: "),
    ],
)
def test_wrong_usage_is_one_line(words: list[str], said: str) -> None:
    line = one_line(command(*words), 2)
    assert said in line
    assert "s3cret" not in line


@pytest.mark.parametrize("name", ["list", "call"])
def test_help_tells_all_of_it(name: str) -> None:
    shown = command(name, "--help")
    assert (shown.returncode, shown.stderr) == (0, "")
    for word in ("Examples:", "--json", "--era", "--header", "default: 60 s", "Exit status:"):
        assert word in shown.stdout
    assert f"mcp-ferry {name} [OPTIONS]" in command("--help").stdout


def test_progress_is_shown_where_it_is_wanted() -> None:
    with Server(events=True) as server:
        quiet = command("call", server.url, "slow", "ms=8")
        shown = command("call", "--progress", server.url, "slow", "ms=8", "steps=2")
    assert quiet.stderr == ""
    assert shown.stderr.splitlines() == ["mcp-ferry: 1 of 2", "mcp-ferry: 2 of 2"]


def test_a_pipe_that_nobody_reads_is_no_trouble() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with Server() as server:
        ended = subprocess.run(
            [*MODULE, "list", server.url],
            stdout=writer,
            stderr=subprocess.PIPE,
            env=clean_environment(),
            timeout=DEADLINE,
            check=False,
        )
    os.close(writer)
    assert (ended.returncode, ended.stderr) == (0, b"")
