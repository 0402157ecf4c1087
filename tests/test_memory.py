"""Peak memory when one side is much faster than the other: a full ferry stops reading and does not grow."""

from __future__ import annotations

import os
import re
import select
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.ferry import DEADLINE, INITIALIZE, INITIALIZED, Ferry, call, encode
from tests.support.peer import Exchange, Peer

pytestmark = [
    pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc"),
    pytest.mark.timeout(300),
]

MIB = 1 << 20
OFFERED = 500 * MIB
LIMIT = 64 * MIB
STALLED = 2.0
"""Seconds without one byte of progress after which a pipe or socket counts as stalled."""


def memory(ferry: Ferry, name: str) -> int:
    """A figure of the ferry's memory in bytes: VmRSS is now, VmHWM the peak."""
    status = Path(f"/proc/{ferry.process.pid}/status").read_text()
    found = re.search(rf"{name}:\s+(\d+) kB", status)
    assert found
    return int(found[1]) * 1024


def drain(ferry: Ferry, wanted: int) -> int:
    """Read stdout until `wanted` lines are in, keeping none; the bytes read."""
    assert ferry.process.stdout is not None
    lines = size = 0
    while lines < wanted:
        ready, _, _ = select.select([ferry.process.stdout], [], [], DEADLINE)
        assert ready, f"stdout fell silent after {lines} of {wanted} lines"
        data = os.read(ferry.process.stdout.fileno(), MIB)
        assert data, f"stdout ended after {lines} of {wanted} lines"
        lines += data.count(b"\n")
        size += len(data)
    return size


@pytest.mark.parametrize("size", [1000, 65536, MIB], ids=["1 kB", "64 KiB", "1 MiB"])
def test_a_stalled_reader_while_one_stream_offers_500_mb(size: int) -> None:
    count = OFFERED // size
    stalled = threading.Event()
    event = b'data: {"jsonrpc":"2.0","method":"notifications/message","params":{"data":"%b"}}\n\n' % (
        b"x" * size
    )

    def events(exchange: Exchange) -> Iterator[bytes]:
        for _ in range(count):
            if not select.select([], [exchange.connection], [], STALLED)[1]:
                stalled.set()
            yield event
        yield b'data: {"jsonrpc":"2.0","id":2,"result":{}}\n\n'

    def answer(exchange: Exchange) -> None:
        if not exchange.greet():
            exchange.send_chunks("text/event-stream", events(exchange))

    with Peer(answer) as peer, Ferry(peer.url, reading=False) as ferry:
        before = open_session(ferry)
        ferry.write(call(2, "offer"))
        assert stalled.wait(DEADLINE), "the ferry took 500 MB that nobody read"
        assert memory(ferry, "VmHWM") - before < LIMIT
        assert drain(ferry, count + 1) > count * size
        assert memory(ferry, "VmHWM") - before < LIMIT
        assert ferry.end() == 0


def test_a_stalled_reader_while_500_answers_offer_a_mebibyte_each() -> None:
    count = OFFERED // MIB
    asked = threading.Semaphore(0)
    filler = b"x" * MIB

    def answer(exchange: Exchange) -> None:
        if not exchange.greet():
            asked.release()
            exchange.send_json(
                b'{"jsonrpc":"2.0","id":%d,"result":{"data":"%b"}}' % (exchange.message["id"], filler)
            )

    with Peer(answer) as peer, Ferry(peer.url, reading=False) as ferry:
        before = open_session(ferry)
        requests = [call(number, "offer") for number in range(count)]
        threading.Thread(target=ferry.write, args=requests, daemon=True).start()
        while asked.acquire(timeout=STALLED):
            pass
        assert memory(ferry, "VmHWM") - before < LIMIT
        assert drain(ferry, count) > count * MIB
        assert memory(ferry, "VmHWM") - before < LIMIT
        assert ferry.end() == 0


@pytest.mark.parametrize("size", [65536, MIB], ids=["64 KiB", "1 MiB"])
def test_a_fast_writer_of_500_mb_while_the_server_is_slow(size: int) -> None:
    count = OFFERED // size
    go_on = threading.Event()

    def answer(exchange: Exchange) -> None:
        if not exchange.greet():
            go_on.wait()
            exchange.send_json({"jsonrpc": "2.0", "id": exchange.message["id"], "result": {}})

    with Peer(answer) as peer, Ferry(peer.url, reading=False) as ferry:
        before = open_session(ferry)
        feed = Feed(ferry, count, size)
        feed.start()
        assert feed.stalled.wait(DEADLINE), "the ferry took 500 MB for a server that took none"
        assert memory(ferry, "VmHWM") - before < LIMIT
        go_on.set()
        drain(ferry, count)
        feed.join(DEADLINE)
        assert memory(ferry, "VmHWM") - before < LIMIT
        assert ferry.end() == 0


def open_session(ferry: Ferry) -> int:
    """Open a session; the ferry's memory then."""
    ferry.write(INITIALIZE)
    drain(ferry, 1)
    ferry.write(INITIALIZED)
    return memory(ferry, "VmRSS")


class Feed(threading.Thread):
    """Writes requests to a ferry's stdin and notices when it takes no more."""

    def __init__(self, ferry: Ferry, count: int, size: int) -> None:
        super().__init__(daemon=True)
        self.stalled = threading.Event()
        self._ferry = ferry
        self._count = count
        self._text = "x" * size

    def run(self) -> None:
        stdin = self._ferry.process.stdin
        assert stdin is not None
        os.set_blocking(stdin.fileno(), False)
        for number in range(self._count):
            rest = memoryview(encode(call(number, "swallow", text=self._text)) + b"\n")
            while rest:
                if select.select([], [stdin], [], STALLED)[1]:
                    rest = rest[os.write(stdin.fileno(), rest) :]
                else:
                    self.stalled.set()
