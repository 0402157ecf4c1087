"""`mcp-ferry bench`: what it sends, what it counts, what it says, and whom it refuses.

No figure is judged here but counts: tests assert no times.
"""

from __future__ import annotations

import asyncio
import io
import json
import os
import pty
import signal
import subprocess
import sys
import termios
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hdrh.histogram import HdrHistogram

from mcp_ferry._ferry import Server
from mcp_ferry.bench import options, plan, view
from mcp_ferry.bench.carrier import CarrierEndedError, Failure, Strays
from mcp_ferry.bench.ferry_carrier import FerryCarrier
from mcp_ferry.bench.figures import Figures
from mcp_ferry.bench.plan import Call, Load
from mcp_ferry.bench.process_carrier import ProcessCarrier
from mcp_ferry.bench.runner import Runner
from mcp_ferry.cli import UsageError
from mcp_ferry.exceptions import ConfigError, FerryError
from tests.support.ferry import DEADLINE, clean_environment
from tests.support.peer import Exchange, Peer

BENCH = (sys.executable, "-m", "mcp_ferry", "bench")
ECHO = ("--tool", "echo", "--arguments", '{"text": "x"}')
VIA = pytest.mark.parametrize("via", ["ferry", "process"])
HERE = "http://127.0.0.1:9/mcp"


def bench(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*BENCH, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=clean_environment(environ),
        timeout=DEADLINE,
        check=False,
    )


def report_of(*arguments: str, status: int = 0, **environ: str) -> dict[str, Any]:
    """The report of a run, which has to end with this status."""
    ended = bench("--json", "-", *arguments, **environ)
    assert ended.returncode == status, ended.stderr
    report: dict[str, Any] = json.loads(ended.stdout)
    return report


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


def greet(exchange: Exchange) -> bool:
    """What opens and closes a session, and a refusal of the era that knows none."""
    if isinstance(exchange.message, dict) and exchange.message.get("method") == "server/discover":
        exchange.send(400)
        return True
    return exchange.greet()


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


def test_a_rotation_spreads_and_never_strays_from_the_weights() -> None:
    calls = [Call("a", "a", {}, 5), Call("b", "b", {}, 1), Call("c", "c", {}, 1)]
    rotation = plan.Rotation(calls)
    assert "".join(rotation.next().name for _ in range(14)) == "aabacaa" * 2


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


WRONG_FERRY = """
import json, sys
for line in sys.stdin:
    message = json.loads(line)
    if "id" not in message:
        continue
    reply = json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": {}})
    if message["method"] in ("initialize", "ping", "twice"):
        print(reply, flush=True)
    if message["method"] == "twice":
        print(reply, flush=True)
        print('{"jsonrpc": "2.0", "id": "nobody", "result": {}}', "no JSON", "[]", sep="\\n", flush=True)
    if message["method"] == "swallow":
        print('{"jsonrpc": "2.0", "method": "notifications/message"}', flush=True)
    if message["method"] == "end":
        sys.exit("this is the end")
    if message["method"] == "ask":
        print('{"jsonrpc": "2.0", "id": "q1", "method": "ping"}', flush=True)
        print('{"jsonrpc": "2.0", "id": "q2", "method": "roots/list"}', flush=True)
        answers = [json.loads(sys.stdin.readline()) for _ in range(2)]
        right = ("result" in answers[0], answers[1]["error"]["code"]) == (True, -32601)
        result = {"result": {}} if right else {"error": {"code": 1, "message": str(answers)}}
        print(json.dumps({"jsonrpc": "2.0", "id": message["id"], **result}), flush=True)
"""
"""What no ferry does, so that it would be seen."""


async def through_wrong_ferry(*methods: str, patience: float = DEADLINE) -> tuple[list[Any], FerryCarrier]:
    """What comes of these calls, one after the other."""
    carrier = FerryCarrier(clean_environment(), patience, (sys.executable, "-c", WRONG_FERRY))
    await carrier.open()
    outcomes: list[Any] = []
    for method in methods:
        try:
            outcomes.append(await carrier.request(Call(method, method, {})))
        except CarrierEndedError as error:
            outcomes.append(error)
    await carrier.close(at_once=False)
    return outcomes, carrier


def test_replies_that_come_twice_or_to_nobody_are_counted() -> None:
    outcomes, carrier = asyncio.run(through_wrong_ferry("ping", "twice", "twice", "ping"))
    assert outcomes == [None] * 4
    assert carrier.strays == Strays(doubled=2, unknown=6)


def test_a_reply_that_never_comes_is_lost() -> None:
    outcomes, carrier = asyncio.run(through_wrong_ferry("ping", "swallow", patience=0.3))
    assert outcomes[0] is None
    assert outcomes[1][:2] == ("lost", "no reply")
    assert carrier.strays == Strays()


def test_a_ferry_that_ends_loses_what_it_had_and_takes_no_more() -> None:
    outcomes, carrier = asyncio.run(through_wrong_ferry("ping", "end", "ping"))
    assert outcomes[1][:2] == ("lost", "ferry ended")
    assert isinstance(outcomes[2], CarrierEndedError)
    assert list(carrier.complaints) == ["this is the end"]


def test_the_server_is_answered() -> None:
    outcomes, _ = asyncio.run(through_wrong_ferry("ask"))
    assert outcomes == [None]


def test_a_ferry_that_cannot_be_started_is_said() -> None:
    async def start() -> None:
        await FerryCarrier({}, DEADLINE, ("/no/such/program",)).open()

    with pytest.raises(FerryError, match="/no/such/program"):
        asyncio.run(start())


def test_large_messages_go_through_in_pieces() -> None:
    text = "x" * 3_000_000
    call = plan.tool_call("echo", {"text": text})

    async def send(url: str) -> list[Failure | None]:
        carrier = FerryCarrier(clean_environment({"MCP_FERRY_URL": url}), DEADLINE)
        await carrier.open()
        outcomes = await asyncio.gather(*(carrier.request(call) for _ in range(3)))
        await carrier.close(at_once=False)
        return outcomes

    with Server() as server:
        assert asyncio.run(send(server.url)) == [None] * 3


def test_in_process_too_a_reply_that_never_comes_is_lost_and_an_ended_session_takes_no_more() -> None:
    asked = threading.Event()

    def answer(exchange: Exchange) -> None:
        if not greet(exchange):
            asked.set()
            threading.Event().wait(DEADLINE)

    async def run(url: str) -> list[Any]:
        carrier = ProcessCarrier(url, {}, 0.3)
        await carrier.open()
        outcomes: list[Any] = [await carrier.request(plan.PING)]
        carrier = ProcessCarrier(url, {}, DEADLINE)
        await carrier.open()
        asked.clear()
        waiting = asyncio.create_task(carrier.request(plan.PING))
        await asyncio.to_thread(asked.wait, DEADLINE)
        await carrier.close(at_once=True)
        outcomes.append(await waiting)
        with pytest.raises(CarrierEndedError):
            await carrier.request(plan.PING)
        return outcomes

    with Peer(answer) as peer:
        outcomes = asyncio.run(run(peer.url))
    assert [outcome[0] for outcome in outcomes] == ["lost", "ferry"]
    assert [outcome[1] for outcome in outcomes] == ["no reply", "shutdown"]


class Session:
    """A carrier of a test's own: answers after `allowed` calls are no more."""

    def __init__(self, allowed: int) -> None:
        self.allowed = allowed
        self.modern = False
        self.strays = Strays()
        self.complaints: Sequence[str] = ()

    async def open(self) -> None: ...

    async def request(self, call: Call) -> Failure | None:
        await asyncio.sleep(0)
        if self.allowed == 0:
            raise CarrierEndedError(call.name)
        self.allowed -= 1
        return None

    async def close(self, *, at_once: bool) -> None: ...


def test_a_session_that_ended_leaves_the_others_their_work() -> None:
    figures = Figures([plan.PING])
    runner = Runner(Load(2, calls=20), [plan.PING], [Session(3), Session(100)], figures)
    asyncio.run(runner.run())
    # Both places of the ended session had taken a call.
    assert (figures.begun, figures.answered, figures.abandoned) == (20, 18, 2)


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


# What it says


def keys_of(value: Any) -> Any:
    """The shape of a JSON value: names and types."""
    if isinstance(value, dict):
        return {name: keys_of(one) for name, one in value.items()}
    if isinstance(value, list):
        return [keys_of(value[0])] if value else []
    return type(value)


LATENCY = dict.fromkeys(("min", "mean", "p50", "p90", "p99", "p99.9", "max"), float)
ROW = {
    "name": str,
    "answered": int,
    "failed": int,
    "per_second": float,
    "latency_ms": LATENCY,
    "histogram": str,
}


def test_the_report_has_this_shape_and_its_histogram_can_be_read() -> None:
    with Server() as server:
        url = server.url.replace("/mcp", "/mcp?key=secret")
        report = report_of("--calls", "20", "--rate", "1000", "--tool", "missing", url, status=1)
        good = report_of("--calls", "20", "--rate", "1000", url)
    assert "secret" not in json.dumps(report)
    assert keys_of(report["errors"]) == [{"source": str, "kind": str, "count": int, "example": str}]
    assert keys_of(good) == {
        "schema": int,
        "version": str,
        "python": str,
        "settings": {
            "url": str,
            "via": str,
            "sessions": int,
            "concurrency": int,
            "calls": int,
            "duration_seconds": type(None),
            "rate": float,
            "warm_up": int,
            "timeout_seconds": float,
        },
        "started": str,
        "elapsed_seconds": float,
        "interrupted": bool,
        "opening_ms": [float],
        "calls": int,
        "abandoned": int,
        "lost": int,
        "doubled": int,
        "unknown": int,
        "late": {"count": int, "worst_ms": float},
        "cpu": {"bench_seconds": float, "ferry_seconds": float},
        "total": ROW,
        "mix": [ROW],
        "errors": [],
        "timeline": [[int]],
    }
    histogram = HdrHistogram.decode(good["total"]["histogram"])
    assert histogram.get_total_count() == 20
    assert histogram.get_value_at_percentile(50) / 1e6 == good["total"]["latency_ms"]["p50"]
    assert sum(answered for answered, _ in good["timeline"]) == 20


@pytest.mark.parametrize(("name", "beginning"), [("one.png", b"\x89PNG"), ("one.svg", b"<?xml")])
def test_the_picture_is_drawn(tmp_path: Path, name: str, beginning: bytes) -> None:
    with Server() as server:
        ended = bench("--calls", "40", "--tool", "echo", "--picture", str(tmp_path / name), server.url)
        assert ended.returncode == 1, "an echo of nothing is refused, and a picture drawn all the same"
        ended = bench("--calls", "40", *ECHO, "--picture", str(tmp_path / name), server.url)
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / name).read_bytes().startswith(beginning)


def test_a_result_that_cannot_be_written_is_said_and_the_table_is_there(tmp_path: Path) -> None:
    with Server() as server:
        ended = bench("--calls", "1", "--json", str(tmp_path / "no" / "such"), server.url)
    assert ended.returncode == 1
    assert "1 call in" in ended.stdout
    assert "cannot write" in ended.stderr


def test_a_terminal_shows_the_run_and_stdout_nothing_of_it() -> None:
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(ours, (24, 100))
    with Server() as server:
        process = subprocess.Popen(
            [*BENCH, "--duration", "1.2", "--tool", "missing", server.url],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=theirs,
            env=clean_environment({"TERM": "xterm"}),
        )
        os.close(theirs)
        shown = b"".join(read_all(ours))
        table, _ = process.communicate(timeout=DEADLINE)
    os.close(ours)
    assert process.returncode == 1
    assert b"of 1.2 s" in shown
    assert b"0 answered" in shown
    assert b"x server: -32602" in shown
    assert b"\x1b" not in table


def test_where_there_is_no_terminal_the_run_is_told_line_by_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(view, "LINE_EVERY", 0.0)
    figures = Figures([plan.PING])
    figures.note_begin(None, figures.started)
    figures.note_end(plan.PING, figures.started, None)
    figures.note_end(plan.PING, figures.started, Failure("tool", "isError", "broken"))

    class Lines(io.StringIO):
        def flush(self) -> None:
            if self.getvalue().count("\n") == 2:
                raise asyncio.CancelledError

    lines = Lines()
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(view.watch(figures, Load(1, calls=4, rate=3.0), lines))
    first, second = lines.getvalue().splitlines()
    assert "1 of 4 answered" in first
    assert "1 failed, 0 late" in first
    assert "now p50" in first
    assert "now p50" not in second, "it has been told"


@pytest.mark.parametrize(
    ("load", "part"),
    [
        (Load(1, calls=4), 0.5),
        (Load(1, calls=1), 1.0),
        (Load(1, calls=4, duration=1e-9), 1.0),
        (Load(1, duration=1e9), 0),
    ],
)
def test_progress_is_that_of_what_ends_the_run_first(load: Load, part: float) -> None:
    figures = Figures([plan.PING])
    for _ in range(2):
        figures.note_end(plan.PING, figures.started, None)
    assert view.progress(figures, load) == pytest.approx(part, abs=1e-3)


def read_all(terminal: int) -> Iterator[bytes]:
    """What is written to the other side of a terminal, until nobody holds it."""
    while True:
        try:
            yield os.read(terminal, 65536)
        except OSError:
            return


# Whom it refuses


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/mcp",
        "http://localhost.example.com/mcp",
        "http://127.0.0.1.example.com/mcp",
        "http://192.168.1.1/mcp",
        "http://0.0.0.0:8000/mcp",
        "http://[::]:8000/mcp",
        "http://[2001:db8::1]/mcp",
        "http://example.com\\@127.0.0.1/mcp",
        "http://128.1/mcp",
    ],
)
def test_hosts_that_are_not_this_machine_are_refused(url: str) -> None:
    with pytest.raises(UsageError, match="--yes-i-own-this-host"):
        options.read([url])
    assert options.read(["--yes-i-own-this-host", url]).sessions == 1


def test_a_backslash_hides_no_other_host() -> None:
    assert options.is_loopback("http://127.0.0.1:3128")
    assert not options.is_loopback("http://example.com\\@127.0.0.1:3128")


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.9.9.9", "localhost", "LOCALHOST:8000", "[::1]:8000", "127.1"]
)
def test_this_machine_is_not_refused(host: str) -> None:
    assert options.read([f"http://{host}/mcp"]).environment["NO_PROXY"] == "*"


def test_a_refusal_is_one_line_that_names_the_flag() -> None:
    ended = bench("https://example.com/mcp")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.count("\n") == 1
    assert "--yes-i-own-this-host" in ended.stderr


def test_a_proxy_on_another_machine_is_refused_too() -> None:
    with pytest.raises(UsageError, match=r"--proxy: .*--yes-i-own-this-host"):
        options.read(["--proxy", "http://proxy.example.com:3128", HERE])
    assert "NO_PROXY" not in options.read(["--proxy", "http://127.0.0.1:3128", HERE]).environment


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "no URL"),
        ([HERE, HERE], "more than one URL"),
        (["--via", "pigeon", HERE], "--via"),
        (["--auht=secret", HERE], "unknown option --auht; see mcp-ferry bench --help"),
        (["--calls", "0", HERE], "--calls"),
        (["--calls", "many", HERE], "--calls"),
        (["--sessions", "1001", HERE], "--sessions"),
        (["--rate", "0", HERE], "--rate"),
        (["--duration", "nan", HERE], "--duration"),
        (["--arguments", "{}", HERE], "name it with --tool"),
        (["--tool", "echo", "--arguments", "[]", HERE], "--arguments: this is JSON, but no object"),
        (["--tool", "echo", "--arguments", "{", HERE], "--arguments: this is not JSON"),
        (["--tool", "echo", "--mix", "mix.json", HERE], "--mix: "),
        (["--mix", "/no/such/file", HERE], "--mix: cannot read"),
        (["--picture", "picture.gif", HERE], "--picture: "),
    ],
)
def test_usage_errors_say_what_to_do(
    arguments: list[str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MCP_FERRY_URL", raising=False)
    with pytest.raises(UsageError) as raised:
        options.read(arguments)
    assert said in str(raised.value)
    assert "secret" not in str(raised.value)


def test_a_wrong_setting_is_named_as_the_bridge_names_it() -> None:
    with pytest.raises(ConfigError, match="--timeout: "):
        options.read(["--timeout", "0", HERE])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "it is not JSON"),
        ("[]", "a mix is a list"),
        ("{}", "a mix is a list"),
        ("[1]", "entry 1: it is no object"),
        ('[{"tool": "a"}, {}]', "entry 2: it needs either"),
        ('[{"tool": "a", "method": "b"}]', "entry 1: it needs either"),
        ('[{"tool": "a", "wieght": 2}]', "'wieght'"),
        ('[{"tool": "a", "weight": 0}]', "weight"),
        ('[{"tool": "a", "weight": true}]', "weight"),
        ('[{"tool": "", "weight": 1}]', "its tool has to be a text"),
        ('[{"tool": "a", "arguments": []}]', "its arguments have to be an object"),
        ('[{"method": "initialize"}]', "initialize cannot be put under load"),
        ('[{"method": "notifications/cancelled"}]', "cannot be put under load"),
    ],
)
def test_a_wrong_mix_is_explained(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        plan.read_mix(text)


def test_entries_of_one_name_are_told_apart() -> None:
    calls = plan.read_mix('[{"tool": "a"}, {"tool": "a", "arguments": {"b": 1}}]')
    assert [call.name for call in calls] == ["a", "a (2)"]


def test_help_works_and_is_mentioned_by_the_bridges_help() -> None:
    shown = bench("--help")
    assert (shown.returncode, shown.stderr) == (0, "")
    for flag in ("--via", "--rate", "--mix", "--header", "--yes-i-own-this-host", "pip install"):
        assert flag in shown.stdout
    bridge = subprocess.run([*BENCH[:3], "--help"], capture_output=True, text=True, check=True)
    assert "mcp-ferry bench [OPTIONS] URL" in bridge.stdout


WITHOUT = """
import importlib.util, sys
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name == {missing!r} else found(name, *rest)
from mcp_ferry.cli import main
main()
"""


@pytest.mark.parametrize(("missing", "picture"), [("hdrh", False), ("rich", False), ("matplotlib", True)])
def test_without_its_packages_it_says_how_to_get_them(missing: str, picture: bool) -> None:
    drawn = ["--picture", "a.png"] if picture else []
    ended = subprocess.run(
        [sys.executable, "-c", WITHOUT.format(missing=missing), "bench", *drawn, HERE],
        capture_output=True,
        text=True,
        env=clean_environment(),
        timeout=DEADLINE,
        check=False,
    )
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (2, "", 1)
    assert "pip install 'mcp-ferry[bench]'" in ended.stderr
