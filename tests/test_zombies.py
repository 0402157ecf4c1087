"""500 ferries brought to their ends in every way: none stays, and each says farewell if it can."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mcp_ferry._ferry import Server
from tests.support.ferry import DEADLINE, INITIALIZE, Ferry, clean_environment, encode
from tests.support.sightings import Sightings

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are looked up by pidfd")

AT_ONCE = 8

PARENT = """
import subprocess, sys
ferry = subprocess.Popen([sys.executable, "-m", "mcp_ferry", *sys.argv[1:]])
print(ferry.pid, file=sys.stderr, flush=True)
ferry.wait()
"""
"""A client that starts a ferry on its own stdin and stdout."""


class Harbour:
    """A server, and what it saw of sessions."""

    def __init__(self) -> None:
        self.sightings = Sightings()
        self.server = Server(observe=self.sightings.see)
        self.url = self.server.url

    def sessions_left(self) -> set[str]:
        """The sessions that were opened and never ended; ends the server, so that all is told."""
        self.server.close()
        return self.sightings.opened - self.sightings.ended


@pytest.fixture
def harbour() -> Iterator[Harbour]:
    harbour = Harbour()
    with harbour.server:
        yield harbour


def start(url: str) -> Ferry:
    """A ferry with an open session."""
    ferry = Ferry(url, reading=False)
    ferry.write(INITIALIZE)
    assert ferry.process.stdout is not None
    assert ferry.process.stdout.readline()
    return ferry


def by_end_of_input(url: str) -> None:
    with start(url) as ferry:
        assert ferry.end() == 0


def by_sigterm(url: str) -> None:
    with start(url) as ferry:
        ferry.signal(signal.SIGTERM)
        assert ferry.wait() == 0


def by_sigint(url: str) -> None:
    with start(url) as ferry:
        ferry.signal(signal.SIGINT)
        assert ferry.wait() == 0


def by_closed_stdout(url: str) -> None:
    with start(url) as ferry:
        ferry.close_stdout()
        assert ferry.wait() == 0


def by_death_of_the_parent(url: str) -> None:
    """The parent is killed; this process keeps the ferry's stdin open, and its stdout too."""
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=clean_environment(),
        bufsize=0,
    ) as parent:
        assert parent.stdin is not None
        assert parent.stdout is not None
        assert parent.stderr is not None
        handle = os.pidfd_open(int(parent.stderr.readline()))
        try:
            parent.stdin.write(encode(INITIALIZE) + b"\n")
            assert parent.stdout.readline()
            parent.kill()
            parent.wait(DEADLINE)
            ended, _, _ = select.select([handle], [], [], DEADLINE)
            assert ended, "the ferry outlived its parent"
        finally:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(handle, signal.SIGKILL)
            os.close(handle)


def by_sigkill(url: str) -> None:
    with start(url) as ferry:
        ferry.signal(signal.SIGKILL)
        assert ferry.wait() == -signal.SIGKILL


def many(count: int, end: Callable[[str], None], harbour: Harbour) -> None:
    """Bring so many ferries to this end, some at a time; each waits for its own process."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for done in [pool.submit(end, harbour.url) for _ in range(count)]:
            done.result()


@pytest.mark.parametrize(
    "end", [by_end_of_input, by_sigterm, by_sigint, by_closed_stdout, by_death_of_the_parent]
)
def test_90_ferries_leave_no_process_and_no_session(end: Callable[[str], None], harbour: Harbour) -> None:
    many(90, end, harbour)
    assert ferries_of(harbour.url) == []
    assert harbour.sessions_left() == set()
    assert len(harbour.sightings.opened) == 90


def test_50_killed_ferries_leave_no_process(harbour: Harbour) -> None:
    many(50, by_sigkill, harbour)
    assert ferries_of(harbour.url) == []
    assert len(harbour.sessions_left()) == 50


def ferries_of(url: str) -> list[int]:
    """Every live process with this endpoint on its command line, which has a port of its own."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            if url.encode() in (process / "cmdline").read_bytes().split(b"\0"):
                found.append(int(process.name))
    return found
