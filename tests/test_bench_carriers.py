"""What carries the calls of `mcp-ferry bench`: replies that are lost, doubled or nobody's, and its end."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Sequence
from typing import Any

import pytest

from mcp_ferry._ferry import Server
from mcp_ferry.bench import plan
from mcp_ferry.bench.carrier import CarrierEndedError, Failure, Strays
from mcp_ferry.bench.ferry_carrier import FerryCarrier
from mcp_ferry.bench.figures import Figures
from mcp_ferry.bench.plan import Call, Load
from mcp_ferry.bench.process_carrier import ProcessCarrier
from mcp_ferry.bench.runner import Runner
from mcp_ferry.exceptions import FerryError
from tests.support.ferry import DEADLINE, clean_environment
from tests.support.load import greet
from tests.support.peer import Exchange, Peer

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
