"""The async API against the bundled server, and against servers that do what it never does."""

from __future__ import annotations

import asyncio
import gc
import json
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Self

import pytest

import mcp_ferry
from mcp_ferry import RequestTimeout, Server, ServerError, Session, SessionClosed, TransportError, connect
from mcp_ferry.notifications import MOST_UNREAD
from tests.support.loops import Run, text
from tests.support.peer import Exchange, Peer


class Watched:
    """A strict server, what it saw, and a way to wait until it saw something."""

    def __init__(self, *, events: bool = False) -> None:
        self.seen: list[dict[str, Any]] = []
        self._news = threading.Condition()
        self.server = Server(events=events, observe=self._note)
        self.url = self.server.url

    def _note(self, exchange: dict[str, Any]) -> None:
        with self._news:
            self.seen.append(exchange)
            self._news.notify_all()

    def wait_for(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The first exchange that is wanted, once it is there."""
        with self._news:
            assert self._news.wait_for(lambda: any(map(wanted, self.seen)), timeout=30), self.seen
            return next(filter(wanted, self.seen))

    def methods(self) -> list[str]:
        """The methods of the messages that came."""
        bodies = [json.loads(one["body"]) for one in self.seen if one["method"] == "POST"]
        return [body.get("method", "") for body in bodies]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.server.close()


def is_delete(exchange: dict[str, Any]) -> bool:
    return str(exchange["method"]) == "DELETE"


def is_about(method: str) -> Callable[[dict[str, Any]], bool]:
    return lambda exchange: method.encode() in bytes(exchange["body"])


def greeted(exchange: Exchange) -> bool:
    """A legacy server, whatever it is asked first."""
    if isinstance(exchange.message, dict) and exchange.message.get("method") == "server/discover":
        exchange.send(400)
        return True
    return exchange.greet()


@pytest.mark.parametrize("events", [False, True], ids=["json", "events"])
def test_a_session_opens_is_used_and_ends(run: Run, events: bool) -> None:
    async def main(url: str) -> None:
        async with connect(url) as session:
            assert (session.era, session.protocol_version) == ("legacy", "2025-11-25")
            assert session.server_info["name"] == "ferry-server"
            assert "tools" in session.capabilities
            assert session.instructions is None
            assert "echo" in [tool["name"] for tool in await session.list_tools()]
            assert text(await session.call_tool("echo", {"text": "über"})) == "über"
            await session.ping()
            assert not session.closed
        assert session.closed
        with pytest.raises(SessionClosed):
            await session.ping()

    with Watched(events=events) as watched:
        run(main(watched.url))
        watched.wait_for(is_delete)


def test_to_await_is_as_good_as_to_enter(run: Run) -> None:
    async def main(url: str) -> None:
        session = await connect(url, era="legacy", client_info={"name": "me", "version": "2"})
        replies = await asyncio.gather(*(session.call_tool("echo", {"text": f"{n}"}) for n in range(300)))
        assert [text(reply) for reply in replies] == [f"{n}" for n in range(300)]
        await session.aclose()
        await session.aclose()

    with Watched() as watched:
        run(main(watched.url))
        assert "server/discover" not in watched.methods()
        watched.wait_for(is_about('"name":"me"'))
        watched.wait_for(is_delete)


def test_sessions_of_one_loop_share_their_connections() -> None:
    async def main(url: str) -> int:
        for _ in range(5):
            async with connect(url, era="legacy") as session:
                await session.ping()
        return 0

    ports = set()

    def answer(exchange: Exchange) -> None:
        ports.add(exchange.client_address[1])
        if not exchange.greet():
            exchange.send_json({"jsonrpc": "2.0", "id": exchange.message["id"], "result": {}})

    with Peer(answer) as peer:
        asyncio.run(main(peer.url))
    assert len(ports) < 5 * 4, "fewer connections than requests"


def test_a_reply_can_be_had_as_bytes(run: Run) -> None:
    async def main(url: str) -> None:
        async with connect(url) as session:
            whole = await session.request_bytes(
                "tools/call", {"name": "echo", "arguments": {"text": "\u00fc"}}
            )
            assert json.loads(whole)["result"]["content"][0]["text"] == "ü"
            failed = await session.request_bytes("no/such")
            assert json.loads(failed)["error"]["code"] == -32601

    with Server() as server:
        run(main(server.url))


def test_an_error_of_the_servers_is_raised_as_it_is(run: Run) -> None:
    async def main(url: str) -> None:
        async with connect(url) as session:
            with pytest.raises(ServerError) as caught:
                await session.call_tool("nothing")
            assert caught.value.code == -32602
            assert "nothing" in caught.value.message
            with pytest.raises(ServerError):
                await session.request("no/such")

    with Server() as server:
        run(main(server.url))


def test_a_server_that_is_not_there_is_told_with_what_may_have_run(run: Run) -> None:
    with Peer(lambda exchange: exchange.send(500)) as peer:
        url = peer.url

    async def main() -> None:
        with pytest.raises(TransportError) as caught:
            await connect(url, timeout=1)
        assert caught.value.kind in {"unreachable", "timeout"}
        assert caught.value.maybe_processed is False
        assert caught.value.http_status is None

    run(main())


def test_a_cut_answer_may_have_run(run: Run) -> None:
    def answer(exchange: Exchange) -> None:
        if not greeted(exchange):
            exchange.send_chunks("application/json", [b'{"jsonrpc"'], last=False)
            exchange.close_connection = True

    async def main(url: str) -> None:
        async with connect(url) as session:
            with pytest.raises(TransportError) as caught:
                await session.call_tool("once")
            assert caught.value.kind == "cut"
            assert caught.value.maybe_processed is True

    with Peer(answer) as peer:
        run(main(peer.url))


class Stalling:
    """A legacy server that answers no call, and notes what came with which headers."""

    def __init__(self) -> None:
        self.seen: list[tuple[dict[str, Any], dict[str, str]]] = []
        self.called = threading.Event()
        self.cancelled = threading.Event()

    def __call__(self, exchange: Exchange) -> None:
        headers = {name.lower(): value for name, value in exchange.headers.items()}
        self.seen.append((exchange.message or {}, headers))
        if greeted(exchange):
            return
        method = exchange.message["method"]
        if method == "tools/call":
            self.called.set()
            self.cancelled.wait(30)
        elif method == "notifications/cancelled":
            exchange.send(202)
            self.cancelled.set()
        else:
            exchange.send_json({"jsonrpc": "2.0", "id": exchange.message["id"], "result": {}})


def test_a_request_may_have_patience_and_headers_of_its_own(run: Run) -> None:
    async def main(url: str) -> None:
        async with connect(url, headers={"X-Team": "blue"}) as session:
            with pytest.raises(RequestTimeout) as caught:
                await session.call_tool("slow", timeout=0.05, headers={"X-Trace": "7"})
            assert isinstance(caught.value, TimeoutError)
            assert caught.value.maybe_processed is True
            with pytest.raises(mcp_ferry.ConfigError):
                await session.call_tool("slow", headers={"Content-Length": "7"})
            with pytest.raises(mcp_ferry.ConfigError):
                await session.call_tool("slow", timeout=0)
            assert await asyncio.to_thread(server.cancelled.wait, 30)

    server = Stalling()
    with Peer(server) as peer:
        run(main(peer.url))
    for message, headers in server.seen:
        assert headers["x-team"] == "blue"
        assert headers.get("x-trace") == ("7" if message.get("method") == "tools/call" else None)


def test_progress_is_told_as_it_comes(run: Run) -> None:
    async def main(url: str) -> None:
        told: list[tuple[float, float | None]] = []
        async with connect(url) as session:
            await session.call_tool(
                "slow", {"ms": 40, "steps": 4}, progress=lambda at, total, _: told.append((at, total))
            )
        assert [at for at, _ in told] == sorted(at for at, _ in told)
        assert len(told) >= 2

    with Server(events=True) as server:
        run(main(server.url))


def test_to_cancel_the_task_cancels_the_request(run: Run) -> None:
    async def main(url: str) -> None:
        async with connect(url) as session:
            task = asyncio.ensure_future(session.call_tool("slow"))
            assert await asyncio.to_thread(server.called.wait, 30)
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            assert task.cancelled()
            assert await asyncio.to_thread(server.cancelled.wait, 30)
            await session.ping()

    server = Stalling()
    with Peer(server) as peer:
        run(main(peer.url))
    (call,) = [message for message, _ in server.seen if message.get("method") == "tools/call"]
    (cancel,) = [message for message, _ in server.seen if "cancelled" in message.get("method", "")]
    assert cancel["params"]["requestId"] == call["id"]


@pytest.mark.parametrize("later", [False, True], ids=["at once", "later"])
def test_what_the_server_asks_is_answered(run: Run, later: bool) -> None:
    def at_once(params: dict[str, Any]) -> dict[str, Any]:
        assert params["message"] == "Which?"
        return {"action": "accept", "content": {"answer": "this"}}

    async def in_time(params: dict[str, Any]) -> dict[str, Any]:
        await asyncio.sleep(0)
        return at_once(params)

    async def main(url: str) -> None:
        async with connect(url, elicitation=in_time if later else at_once) as session:
            assert "this" in text(await session.call_tool("ask", {"question": "Which?"}))

    with Server(events=True) as server:
        run(main(server.url))


def test_a_handler_that_fails_is_told_to_both_sides(run: Run) -> None:
    def broken(_: dict[str, Any]) -> dict[str, Any]:
        raise LookupError("no answer")

    async def main(url: str) -> None:
        told: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
        async with connect(url, elicitation=broken) as session:
            with suppress(ServerError):
                await session.call_tool("ask", {"question": "?"})
        assert isinstance(told[0]["exception"], LookupError)

    with Server(events=True) as server:
        run(main(server.url))


def notice(number: int) -> bytes:
    return b'data: {"jsonrpc":"2.0","method":"notifications/message","params":{"data":%d}}\n\n' % number


def telling(count: int) -> Callable[[Exchange], None]:
    """A legacy server with so much to tell on its GET stream, which then ends for good."""
    told = threading.Event()

    def answer(exchange: Exchange) -> None:
        if exchange.command == "GET" and not told.is_set():
            told.set()
            exchange.send_chunks("text/event-stream", map(notice, range(count)))
        elif not greeted(exchange):
            exchange.send_json({"jsonrpc": "2.0", "id": exchange.message["id"], "result": {}})

    return answer


def test_what_the_server_tells_is_an_iterator(run: Run) -> None:
    async def main(url: str) -> None:
        async with connect(url) as session:
            first, second = session.notifications(), session.notifications()
            for number in range(20):
                for iterator in (first, second):
                    assert (await anext(iterator))["params"]["data"] == number
        with pytest.raises(StopAsyncIteration):
            await anext(first)

    with Peer(telling(20)) as peer:
        run(main(peer.url))


def test_a_reader_that_falls_behind_is_told(run: Run) -> None:
    async def main(url: str) -> None:
        async with connect(url) as session:
            behind, ahead = session.notifications(), session.notifications()
            for _ in range(MOST_UNREAD + 1):
                await anext(ahead)
            for _ in range(MOST_UNREAD):
                await anext(behind)
            with pytest.raises(mcp_ferry.FellBehind):
                await anext(behind)

    with Peer(telling(MOST_UNREAD + 1)) as peer:
        run(main(peer.url))


def test_nobody_listens_who_does_not_want_to() -> None:
    async def main(url: str) -> None:
        async with connect(url) as session:
            await session.ping()
            assert "GET" not in seen
        async with connect(url, listen=True) as session:
            await session.ping()

    seen: list[str] = []

    def answer(exchange: Exchange) -> None:
        seen.append(exchange.command)
        if not greeted(exchange):
            exchange.send_json({"jsonrpc": "2.0", "id": exchange.message["id"], "result": {}})

    with Peer(answer) as peer:
        asyncio.run(main(peer.url))
    assert seen.count("GET") == 1


def test_lists_follow_their_pages() -> None:
    pages = {None: ("1", "b"), "b": ("2", "c"), "c": ("3", None)}

    def answer(exchange: Exchange) -> None:
        if greeted(exchange):
            return
        params = exchange.message.get("params", {})
        kind = exchange.message["method"].split("/")
        member = "resourceTemplates" if "templates" in kind else kind[0]
        name, following = pages[params.get("cursor")]
        result = {member: [{"name": name}], "nextCursor": following}
        exchange.send_json({"jsonrpc": "2.0", "id": exchange.message["id"], "result": result})

    async def main(url: str) -> None:
        async with connect(url) as session:
            for listing in (
                session.list_tools,
                session.list_resources,
                session.list_resource_templates,
                session.list_prompts,
            ):
                assert [item["name"] for item in await listing()] == ["1", "2", "3"]

    with Peer(answer) as peer:
        asyncio.run(main(peer.url))


def test_every_method_says_what_it_should() -> None:
    said: list[tuple[str, Any]] = []
    results = {
        "resources/read": {"contents": [{"text": "x"}]},
        "completion/complete": {"completion": {"values": ["a"]}},
        "prompts/get": {"messages": []},
    }

    def answer(exchange: Exchange) -> None:
        if not greeted(exchange):
            method = exchange.message["method"]
            said.append((method, exchange.message.get("params")))
            reply = {"jsonrpc": "2.0", "id": exchange.message["id"], "result": results.get(method, {})}
            exchange.send_json(reply)

    async def main(url: str) -> None:
        async with connect(url) as session:
            assert await session.read_resource("a://b") == [{"text": "x"}]
            assert await session.get_prompt("p", {"x": "y"}) == {"messages": []}
            ref = {"type": "ref/prompt", "name": "p"}
            completion = await session.complete(ref, {"name": "x", "value": ""}, {"arguments": {}})
            assert completion == {"values": ["a"]}
            await session.set_log_level("debug")
            await session.subscribe("a://b")
            await session.unsubscribe("a://b")
            with pytest.raises(ServerError):
                await session.list_tools()

    with Peer(answer) as peer:
        asyncio.run(main(peer.url))
    assert said == [
        ("resources/read", {"uri": "a://b"}),
        ("prompts/get", {"name": "p", "arguments": {"x": "y"}}),
        (
            "completion/complete",
            {
                "ref": {"type": "ref/prompt", "name": "p"},
                "argument": {"name": "x", "value": ""},
                "context": {"arguments": {}},
            },
        ),
        ("logging/setLevel", {"level": "debug"}),
        ("resources/subscribe", {"uri": "a://b"}),
        ("resources/unsubscribe", {"uri": "a://b"}),
        ("tools/list", None),
    ]


META = "io.modelcontextprotocol/"


def modern(exchange: Exchange) -> None:
    """A modern server with one tool, which asks back once."""
    message = exchange.message
    assert exchange.command == "POST", "there is nothing else"
    meta = message["params"]["_meta"]
    assert meta[f"{META}protocolVersion"] == exchange.headers["mcp-protocol-version"] == "2026-07-28"
    assert exchange.headers["mcp-method"] == message["method"]
    result: dict[str, Any] = {"resultType": "complete"}
    if message["method"] == "server/discover":
        result |= {"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}, "instructions": "Ask."}
        result["_meta"] = {f"{META}serverInfo": {"name": "modern", "version": "1"}}
    elif "inputResponses" not in message["params"]:
        assert meta[f"{META}clientCapabilities"] == {"elicitation": {}}
        asked = {"method": "elicitation/create", "params": {"message": "Name?"}}
        result = {"resultType": "input_required", "inputRequests": {"who": asked}, "requestState": "s1"}
    else:
        assert message["params"]["requestState"] == "s1"
        name = message["params"]["inputResponses"]["who"]["content"]["name"]
        result["content"] = [{"type": "text", "text": f"Hello {name}"}]
    exchange.send_json({"jsonrpc": "2.0", "id": message["id"], "result": result})


def test_a_modern_server_is_spoken_to_in_its_way(run: Run) -> None:
    def name(params: dict[str, Any]) -> dict[str, Any]:
        assert params == {"message": "Name?"}
        return {"action": "accept", "content": {"name": "Ada"}}

    async def main(url: str) -> None:
        async with connect(url, elicitation=name) as session:
            assert (session.era, session.protocol_version) == ("modern", "2026-07-28")
            assert session.server_info == {"name": "modern", "version": "1"}
            assert session.instructions == "Ask."
            assert text(await session.call_tool("greet")) == "Hello Ada"

    with Peer(modern) as peer:
        run(main(peer.url))


class Telling:
    """A modern server that tells a subscriber three things each time, and then waits or hangs up."""

    def __init__(self, *, cuts: int = 0, refuses: bool = False) -> None:
        self.cuts = cuts
        self.refuses = refuses
        self.wanted: list[Any] = []
        self.cancelled = threading.Event()

    def __call__(self, exchange: Exchange) -> None:
        message = exchange.message
        if message["method"] != "subscriptions/listen":
            modern(exchange)
            return
        if self.refuses:
            error = {"code": -32601, "message": "no"}
            exchange.send_json({"jsonrpc": "2.0", "id": message["id"], "error": error})
            return
        self.wanted.append(message["params"]["notifications"])
        meta = {"io.modelcontextprotocol/subscriptionId": message["id"]}
        exchange.send_chunks("text/event-stream", [], last=False)
        for method in ("subscriptions/acknowledged", *["tools/list_changed"] * 3):
            notice = {"jsonrpc": "2.0", "method": f"notifications/{method}", "params": {"_meta": meta}}
            exchange.send_chunk(b"data: %b\n\n" % json.dumps(notice).encode())
        if self.cuts:
            self.cuts -= 1
            exchange.close_connection = True
            return
        exchange.connection.settimeout(30)
        assert exchange.connection.recv(1) == b"", "the ferry hangs up"
        self.cancelled.set()


def test_a_modern_server_tells_subscribers(run: Run) -> None:
    async def main(url: str) -> None:
        async with connect(url) as session:
            one, other = session.notifications(resources=["a://b"]), session.notifications()
            for iterator in (one, other):
                for _ in range(3):
                    assert (await anext(iterator))["method"] == "notifications/tools/list_changed"
            await one.aclose()
            assert await asyncio.to_thread(server.cancelled.wait, 30)
            with pytest.raises(StopAsyncIteration):
                await anext(one)

    server = Telling()
    with Peer(server) as peer:
        run(main(peer.url))
    assert ["a://b"] in [wanted.get("resourceSubscriptions") for wanted in server.wanted]


def test_a_subscription_that_is_cut_is_asked_for_again(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mcp_ferry.notifications.PAUSE", 0.01)

    async def main(url: str) -> None:
        async with connect(url) as session:
            told = session.notifications()
            for _ in range(6):
                await anext(told)

    server = Telling(cuts=1)
    with Peer(server) as peer:
        run(main(peer.url))
    assert len(server.wanted) == 2


def test_a_server_that_tells_nobody_says_so(run: Run) -> None:
    async def main(url: str) -> None:
        async with connect(url) as session:
            with pytest.raises(ServerError):
                await anext(session.notifications())

    with Peer(Telling(refuses=True)) as peer:
        run(main(peer.url))


@pytest.mark.parametrize(
    ("code", "falls_back"), [(-32601, True), (-32600, True), (-32022, True), (-32020, False)]
)
def test_the_era_is_found_as_the_specification_says(code: int, falls_back: bool) -> None:
    def answer(exchange: Exchange) -> None:
        if isinstance(exchange.message, dict) and exchange.message.get("method") == "server/discover":
            error = {"code": code, "message": "no"}
            body = {"jsonrpc": "2.0", "id": exchange.message["id"], "error": error}
            exchange.send(400, json.dumps(body).encode(), content_type="application/json")
        else:
            exchange.greet()

    async def main(url: str) -> None:
        if falls_back:
            async with connect(url) as session:
                assert session.era == "legacy"
        else:
            with pytest.raises(ServerError):
                await connect(url)
        with pytest.raises(ServerError):
            await connect(url, era="modern")

    with Peer(answer) as peer:
        asyncio.run(main(peer.url))


def test_a_session_survives_the_server_that_forgets_it(run: Run) -> None:
    async def main() -> None:
        first = Server()
        async with connect(first.url) as session:
            await session.call_tool("echo", {"text": "before"})
            await asyncio.to_thread(first.close)
            port = int(first.url.rsplit(":", 1)[1].split("/")[0])
            with Server(port=port):
                assert text(await session.call_tool("echo", {"text": "after"})) == "after"

    run(main())


def test_any_thread_may_close(run: Run) -> None:
    async def main(url: str) -> None:
        session = await connect(url)
        waiting = asyncio.ensure_future(session.call_tool("slow", {"seconds": 600}))
        await session.ping()
        thread = threading.Thread(target=lambda: asyncio.run(session.aclose()))
        thread.start()
        with pytest.raises((SessionClosed, TransportError)):
            await waiting
        await asyncio.to_thread(thread.join)
        assert session.closed

    with Watched() as watched:
        run(main(watched.url))
        watched.wait_for(is_delete)


def test_a_session_that_is_dropped_ends(run: Run) -> None:
    async def main(watched: Watched) -> None:
        session: Session | None = await connect(watched.url)
        assert session
        session = None
        gc.collect()
        await asyncio.to_thread(watched.wait_for, is_delete)

    with Watched() as watched:
        run(main(watched))


def test_a_session_whose_loop_is_closed_is_closed(run: Run) -> None:
    kept: list[Session] = []

    async def main(url: str) -> None:
        kept.append(await connect(url))

    with Watched() as watched:
        run(main(watched.url))
        (session,) = kept
        assert session.closed
        session.close()
        asyncio.run(session.aclose())
        watched.wait_for(is_delete)


def test_a_session_is_of_the_loop_that_opened_it() -> None:
    async def main(url: str) -> None:
        async with connect(url) as session:

            def elsewhere() -> None:
                with pytest.raises(SessionClosed, match="another event loop"):
                    asyncio.run(session.ping())

            await asyncio.to_thread(elsewhere)

    with Server() as server:
        asyncio.run(main(server.url))


SCRIPT = """
import asyncio, sys, mcp_ferry

async def main():
    global session
    session = await mcp_ferry.connect(sys.argv[1])

asyncio.run(main())
"""


def test_an_interpreter_that_leaves_tells_the_server() -> None:
    with Watched() as watched:
        left = subprocess.run(
            [sys.executable, "-X", "dev", "-c", SCRIPT, watched.url],
            capture_output=True,
            check=True,
            timeout=60,
        )
        assert left.stderr == b""
        watched.wait_for(is_delete)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        ("broken", "broken"),
        ({"code": "x", "message": 7}, "7"),
        ({"code": -31010, "message": "mine", "data": {"kind": "cut"}}, "mine"),
    ],
)
def test_an_odd_error_is_the_servers_all_the_same(error: object, message: str) -> None:
    def answer(exchange: Exchange) -> None:
        if not greeted(exchange):
            exchange.send_json({"jsonrpc": "2.0", "id": exchange.message["id"], "error": error})

    async def main(url: str) -> None:
        async with connect(url) as session:
            with pytest.raises(ServerError) as caught:
                await session.request("odd")
            assert caught.value.message == message

    with Peer(answer) as peer:
        asyncio.run(main(peer.url))


LOGGED = """
import asyncio, logging, sys, mcp_ferry
from mcp_ferry import _ferry

logging.basicConfig(format="%(name)s %(levelname)s %(message)s")

async def main():
    async with mcp_ferry.connect(sys.argv[1], insecure=True) as session:
        await session.ping()

asyncio.run(main())
_ferry.log_flush(10_000)
"""


def test_what_the_wires_log_goes_where_the_host_logs() -> None:
    with Server() as server:
        script = [sys.executable, "-c", LOGGED, server.url]
        said = subprocess.run(script, capture_output=True, check=True, timeout=60).stderr.decode()
    assert said.startswith("mcp_ferry.wires WARNING certificates are not checked")


FORK = """
import asyncio, os, sys, mcp_ferry

with asyncio.Runner() as runner:
    session = runner.run(mcp_ferry.connect(sys.argv[1]).__aenter__())
    child = os.fork()
    if child == 0:
        session.close()
        del session
        sys.exit(0)
    assert os.waitpid(child, 0)[1] == 0
    runner.run(session.ping())
    runner.run(session.aclose())
"""


def test_a_fork_leaves_the_sessions_alone() -> None:
    with Watched() as watched:
        script = [sys.executable, "-c", FORK, watched.url]
        subprocess.run(script, capture_output=True, check=True, timeout=60)
        watched.wait_for(is_delete)
    assert watched.methods()[-1] == "ping", "the child ended nothing"


def test_a_callback_that_fails_takes_nothing_else_with_it(run: Run) -> None:
    def broken(*_: object) -> None:
        raise LookupError("broken")

    async def main(url: str) -> None:
        told: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
        async with connect(url) as session:
            for _ in range(3):
                await session.call_tool("slow", {"ms": 20, "steps": 4}, progress=broken)
        assert all(isinstance(context["exception"], LookupError) for context in told)
        assert told

    with Server(events=True) as server:
        run(main(server.url))


@pytest.mark.parametrize(
    ("written", "read"),
    [(rb'"\ud800"', "\ud800"), (b"[" * 2000 + b"]" * 2000, None)],
    ids=["half a surrogate pair", "very deep"],
)
def test_what_one_parser_cannot_read_another_does(written: bytes, read: object) -> None:
    def answer(exchange: Exchange) -> None:
        if not greeted(exchange):
            head = b'{"jsonrpc":"2.0","id":%d,"result":' % exchange.message["id"]
            exchange.send_json(head + written + b"}")

    async def main(url: str) -> None:
        async with connect(url) as session:
            if read is None:
                with pytest.raises(ServerError):
                    await session.request("odd")
            else:
                assert await session.request("odd") == read
            assert written in await session.request_bytes("odd")

    with Peer(answer) as peer:
        asyncio.run(main(peer.url))


def test_bad_settings_are_told_at_once() -> None:
    for url, settings in (("nonsense", {}), ("http://x/", {"timeout": 0}), ("http://x/", {"auth": ""})):
        with pytest.raises(mcp_ferry.ConfigError):
            connect(url, **settings)


def test_tenants_never_see_each_other() -> None:
    """Many sessions on shared connections, each with a credential of its own, while calls are cancelled."""
    sessions: dict[str, str] = {}
    wrong: list[str] = []
    lock = threading.Lock()

    def answer(exchange: Exchange) -> None:
        tenant = exchange.headers["authorization"]
        given = exchange.headers.get("mcp-session-id")
        method = exchange.message.get("method") if isinstance(exchange.message, dict) else None
        with lock:
            if given is not None and sessions.get(given) != tenant:
                wrong.append(f"{tenant} came with the session of {sessions.get(given)}")
            if method == "initialize":
                number = f"session-{len(sessions)}"
                sessions[number] = tenant
        if method == "initialize":
            exchange.also_send = {"Mcp-Session-Id": number}
            result: dict[str, Any] = {"protocolVersion": "2025-11-25", "capabilities": {}, "serverInfo": {}}
        elif method == "tools/call":
            result = {"content": [{"type": "text", "text": tenant}]}
        else:
            exchange.send(202)
            return
        exchange.send_json({"jsonrpc": "2.0", "id": exchange.message["id"], "result": result})

    async def tenant(url: str, name: str) -> None:
        async with connect(url, era="legacy", auth=name) as session:
            for number in range(10):
                call = asyncio.ensure_future(session.call_tool("whoami"))
                if number % 3 == 0:
                    await asyncio.sleep(0)
                    call.cancel()
                with suppress(asyncio.CancelledError):
                    assert text(await call) == name

    async def main(url: str) -> None:
        await asyncio.gather(*(tenant(url, f"Bearer {number}") for number in range(40)))

    with Peer(answer) as peer:
        asyncio.run(main(peer.url))
    assert not wrong
    assert len(sessions) == 40
