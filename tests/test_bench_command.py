"""`mcp-ferry bench` as a whole: what it sends, what it counts, and how it ends.

No figure is judged here but counts: tests assert no times.
"""

from __future__ import annotations

import json
import signal
import subprocess
import threading
from collections import Counter
from pathlib import Path
from typing import Any

from mcp_ferry._ferry import Server
from mcp_ferry.bench import options
from tests.support.ferry import DEADLINE, clean_environment
from tests.support.load import BENCH, ECHO, HERE, VIA, bench, greet, report_of
from tests.support.peer import Exchange, Peer


class Seen:
    """Counts what reaches a server, by method and by the name of a tool."""

    def __init__(self) -> None:
        self.methods: Counter[str] = Counter()
        self.tools: Counter[str] = Counter()
        self.sessions = 0

    def __call__(self, exchange: dict[str, Any]) -> None:
        self.sessions += bool(exchange["issued_session"])
        if exchange["method"] != "POST":
            self.methods[exchange["method"]] += 1
            return
        message = json.loads(exchange["body"])
        self.methods[message["method"]] += 1
        if message["method"] == "tools/call":
            self.tools[message["params"]["name"]] += 1


# What is sent


def test_without_a_tool_so_many_pings_are_sent_and_counted_and_shown() -> None:
    seen = Seen()
    with Server(observe=seen) as server:
        ended = bench("--calls", "30", "--concurrency", "4", server.url)
    assert ended.returncode == 0, ended.stderr
    assert seen.methods["ping"] == 30
    assert seen.sessions == seen.methods["DELETE"] == 1
    for shown in ("30 calls in", "ping", "p99.9", "lost 0, doubled 0, unknown 0"):
        assert shown in ended.stdout
    assert "Errors" not in ended.stdout


@VIA
def test_calls_are_shared_by_all_sessions_and_warm_up_does_not_count(via: str) -> None:
    seen = Seen()
    with Server(observe=seen) as server:
        arguments = (
            "--via",
            via,
            "--calls",
            "31",
            "--warm-up",
            "7",
            "--sessions",
            "3",
            "--concurrency",
            "2",
            *ECHO,
        )
        report = report_of(*arguments, server.url)
    assert seen.sessions == 3
    assert seen.tools == {"echo": 38}
    assert (report["calls"], report["total"]["answered"], report["total"]["failed"]) == (31, 31, 0)
    assert len(report["opening_ms"]) == 3


def test_a_mix_is_sent_by_weight(tmp_path: Path) -> None:
    mix = tmp_path / "mix.json"
    mix.write_text(
        json.dumps(
            [
                {"tool": "echo", "arguments": {"text": "x"}, "weight": 3},
                {"tool": "add", "arguments": {"a": 1, "b": 2}},
                {"method": "tools/list", "params": {}, "weight": 2, "name": "listing"},
            ]
        )
    )
    seen = Seen()
    with Server(observe=seen) as server:
        report = report_of("--calls", "60", "--concurrency", "3", "--mix", str(mix), server.url)
    assert seen.tools == {"echo": 30, "add": 10}
    assert seen.methods["tools/list"] == 20
    assert {row["name"]: row["answered"] for row in report["mix"]} == {"echo": 30, "add": 10, "listing": 20}


@VIA
def test_settings_reach_the_server(via: str) -> None:
    seen: list[tuple[str, ...]] = []

    def answer(exchange: Exchange) -> None:
        seen.append(tuple(exchange.headers[name] for name in ("x-team", "x-key", "authorization")))
        if not greet(exchange):
            exchange.send_json({"jsonrpc": "2.0", "id": exchange.message["id"], "result": {}})

    arguments = ("--header", "X-Team: blue", "--header", "X-Key: ${KEY}", "--auth", "Bearer secret")
    with Peer(answer) as peer:
        report_of(
            "--via", via, "--calls", "1", *arguments, peer.url, KEY="k-1", MCP_FERRY_HEADERS="X-Team: red"
        )
    assert set(seen) == {("blue", "k-1", "Bearer secret")}
    assert options.read([*arguments[-2:], HERE]).environment["MCP_FERRY_AUTH"] == "Bearer secret"


def test_a_duration_ends_a_run_after_all_answers() -> None:
    with Server() as server:
        report = report_of("--duration", "0.2", *ECHO, server.url)
    assert report["total"]["answered"] == report["calls"] > 0
    assert report["settings"]["duration_seconds"] == 0.2


def test_a_schedule_decides_how_many_calls_there_are() -> None:
    with Server() as server:
        report = report_of("--rate", "200", "--duration", "0.25", *ECHO, server.url)
    assert report["calls"] == report["total"]["answered"] == 50


def test_a_call_that_finds_no_place_in_time_is_late_and_its_wait_counts() -> None:
    slow = ("--tool", "slow", "--arguments", '{"ms": 40, "steps": 1}')
    with Server() as server:
        report = report_of("--rate", "1000", "--calls", "4", "--concurrency", "1", *slow, server.url)
    # Each waits for those before it: the last for three of them, and then takes its own time.
    assert report["late"]["count"] >= 3
    assert report["late"]["worst_ms"] >= 100
    assert report["total"]["latency_ms"]["max"] >= 140


@VIA
def test_a_server_without_sessions_is_spoken_to_as_it_wants(via: str) -> None:
    asked: list[Any] = []

    def answer(exchange: Exchange) -> None:
        message = exchange.message
        asked.append(message)
        if message["method"] == "initialize":
            error = {"code": -32601, "message": "no such method"}
            reply = {"jsonrpc": "2.0", "id": message["id"], "error": error}
            exchange.send(404, json.dumps(reply).encode(), content_type="application/json")
        else:
            result = {"supportedVersions": ["2026-07-28"], "capabilities": {}, "tools": []}
            exchange.send_json({"jsonrpc": "2.0", "id": message["id"], "result": result})

    with Peer(answer) as peer:
        report = report_of("--via", via, "--calls", "3", peer.url)
    methods = [message["method"] for message in asked]
    # The API asks the new way first.
    assert methods == ["initialize"] * (via == "ferry") + ["server/discover"] + ["tools/list"] * 3
    version = "io.modelcontextprotocol/protocolVersion"
    assert {message["params"]["_meta"][version] for message in asked[-4:]} == {"2026-07-28"}
    assert report["mix"][0]["name"] == "tools/list"


# What goes wrong


def misbehave(exchange: Exchange) -> None:
    """Answer each tool in its own wrong way."""
    if greet(exchange):
        return
    message = exchange.message
    wrong = message["params"]["name"]
    reply: dict[str, Any] = {"jsonrpc": "2.0", "id": message["id"]}
    if wrong == "status":
        exchange.send(500)
    elif wrong == "refuse":
        exchange.send_json(reply | {"error": {"code": -32602, "message": "not\x1b[31m like this"}})
    elif wrong == "imitate":
        data = {"kind": "cut", "maybeProcessed": False}
        exchange.send_json(reply | {"error": {"code": -31010, "message": "as a ferry", "data": data}})
    elif wrong == "fail":
        content = [{"type": "text", "text": "the tool broke"}]
        exchange.send_json(reply | {"result": {"content": content, "isError": True}})
    elif wrong == "silence":
        exchange.send_json(b"")
    else:
        exchange.send_json(reply | {"result": {"content": []}})


@VIA
def test_errors_are_counted_by_whose_they_are_and_by_kind(via: str, tmp_path: Path) -> None:
    mix = tmp_path / "mix.json"
    weights = {"status": 1, "refuse": 2, "fail": 3, "silence": 1, "imitate": 1, "work": 3}
    mix.write_text(json.dumps([{"tool": tool, "weight": weight} for tool, weight in weights.items()]))
    with Peer(misbehave) as peer:
        report = report_of("--via", via, "--calls", "22", "--mix", str(mix), peer.url, status=1)
        ended = bench("--calls", "11", "--mix", str(mix), peer.url)
    found = {(one["source"], one["kind"]): one["count"] for one in report["errors"]}
    assert found == {
        ("ferry", "http-status"): 2,
        ("server", "-32602"): 4,
        ("server", "-31010"): 2,
        ("tool", "isError"): 6,
        ("ferry", "no-reply"): 2,
    }
    assert (report["total"]["answered"], report["total"]["failed"]) == (6, 16)
    assert {row["name"]: row["failed"] for row in report["mix"]}["work"] == 0
    assert report["mix"][0]["latency_ms"] is None
    work = next(row for row in report["mix"] if row["name"] == "work")
    assert report["total"]["latency_ms"] == work["latency_ms"], "the only one that was ever answered"
    assert ended.returncode == 1
    assert "the tool broke" in ended.stdout
    assert "\x1b" not in ended.stdout


@VIA
def test_a_server_that_is_not_there_is_one_line(via: str) -> None:
    with Peer(lambda exchange: exchange.send(401)) as peer:
        ended = bench("--via", via, "--calls", "1", peer.url)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith("mcp-ferry: ")
    assert "401" in ended.stderr


# Its end


@VIA
def test_ctrl_c_prints_what_was_measured_so_far(via: str, tmp_path: Path) -> None:
    written = tmp_path / "report.json"
    answered = threading.Event()
    stuck: list[int] = []
    commands: list[str] = []

    def answer(exchange: Exchange) -> None:
        commands.append(exchange.command)
        if greet(exchange):
            return
        stuck.append(1)
        if len(stuck) <= 5:
            exchange.send_json({"jsonrpc": "2.0", "id": exchange.message["id"], "result": {}})
        else:
            answered.set()
            threading.Event().wait(DEADLINE)

    with Peer(answer) as peer:
        process = subprocess.Popen(
            [*BENCH, "--via", via, "--json", str(written), peer.url],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=clean_environment(),
        )
        assert answered.wait(DEADLINE)
        process.send_signal(signal.SIGINT)
        shown, complaints = process.communicate(timeout=DEADLINE)
    report = json.loads(written.read_text())
    assert process.returncode == 0, complaints
    assert "then interrupted" in shown
    assert report["interrupted"] is True
    assert "DELETE" in commands, "the ferry was not told to end, but killed"
    assert (report["calls"], report["total"]["answered"], report["abandoned"]) == (6, 5, 1)
