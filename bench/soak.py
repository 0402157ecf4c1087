"""Many calls through a real ferry to a server that breaks one of 200 exchanges, and what became of each.

    python -m bench.soak --calls 100000 --at-once 64

Prints a table and, last, one line of JSON; exits with 1 if a call was lost, answered twice, executed twice
or reported wrongly, or if the ferry grew.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from tests.support.faulty import FaultyServer
from tests.support.ferry import DEADLINE, INITIALIZE, INITIALIZED, Ferry, call, request

LISTS = 10
"""Every so manieth request is a `tools/list`, which may be sent twice."""

MOST_GROWTH = 8 << 20
"""Bytes that the ferry may grow from a quarter of the way to the end. A leak of 100 bytes a call would be as
much over 75 000 calls."""


@dataclass
class Outcome:
    """What became of a soak."""

    calls: int
    results: int = 0
    errors: dict[str, int] = field(default_factory=dict)
    """Errors of the ferry's own, by their kind."""
    lost: int = 0
    answered_twice: int = 0
    executed_twice: int = 0
    reported_wrongly: int = 0
    """Calls that ran and whose error denies it."""
    faults: dict[str, int] = field(default_factory=dict)
    sessions: int = 0
    memory_at_quarter: int = 0
    memory_at_end: int = 0

    @property
    def growth(self) -> int:
        """Bytes that the ferry grew by."""
        return self.memory_at_end - self.memory_at_quarter

    @property
    def is_good(self) -> bool:
        """Whether nothing was lost, doubled or misreported, and the ferry did not grow."""
        wrong = self.lost + self.answered_twice + self.executed_twice + self.reported_wrongly
        return wrong == 0 and self.growth < MOST_GROWTH


class Client:
    """Keeps so many requests in flight until all are answered."""

    def __init__(self, ferry: Ferry, calls: int, at_once: int) -> None:
        self.replies: dict[int, list[dict[str, Any]]] = {number: [] for number in range(1, calls + 1)}
        self.memory_at_quarter = 0
        self.memory_at_end = 0
        self._ferry = ferry
        self._at_once = at_once

    def run(self) -> None:
        """Write a request for every reply that comes, and read to the end."""
        stdout = self._ferry.process.stdout
        assert stdout is not None
        waiting = iter(self.replies)
        lines = self._lines()
        self._ferry.write({**INITIALIZE, "id": "hello"}, INITIALIZED)
        next(lines)
        self._ferry.write(*(question(number) for number in islice(waiting, self._at_once)))
        answered, quarter = 0, len(self.replies) // 4
        for message in lines:
            if "id" not in message or "method" in message:
                continue
            self.replies.setdefault(message["id"], []).append(message)
            answered += 1
            if answered == quarter:
                self.memory_at_quarter = memory(self._ferry)
            if answered == len(self.replies):
                self.memory_at_end = memory(self._ferry)
                self._ferry.close_stdin()
            elif (number := next(waiting, None)) is not None:
                self._ferry.write(question(number))

    def _lines(self) -> Iterator[dict[str, Any]]:
        """Every message until the end of stdout; a ferry that falls silent is ended, which is its end too."""
        stdout = self._ferry.process.stdout
        assert stdout is not None
        silence = threading.Timer(DEADLINE, self._ferry.process.kill)
        silence.start()
        with open(stdout.fileno(), "rb", closefd=False) as lines:
            for line in lines:
                silence.cancel()
                yield json.loads(line)
                silence = threading.Timer(DEADLINE, self._ferry.process.kill)
                silence.start()
        silence.cancel()


def question(number: int) -> dict[str, Any]:
    """The request with this id."""
    if number % LISTS == 0:
        return request(number, "tools/list")
    return call(number, "count", text=f"call {number}")


def memory(ferry: Ferry) -> int:
    """The ferry's own memory in bytes: what it shares with others counts in proportion."""
    text = Path(f"/proc/{ferry.process.pid}/smaps_rollup").read_text()
    found = re.search(r"^Pss:\s+(\d+) kB", text, re.MULTILINE)
    assert found, "smaps_rollup has a line Pss"
    return int(found[1]) * 1024


def soak(calls: int, at_once: int, every: int) -> Outcome:
    """Run it."""
    with (
        FaultyServer(every) as server,
        Ferry(server.url, "--concurrency", str(at_once), reading=False) as ferry,
    ):
        client = Client(ferry, calls, at_once)
        client.run()
        ferry.wait()
    outcome = Outcome(calls, faults=dict(server.faults), sessions=server.opened)
    outcome.memory_at_quarter, outcome.memory_at_end = client.memory_at_quarter, client.memory_at_end
    outcome.executed_twice = len(server.doubled)
    for number, replies in client.replies.items():
        judge(outcome, replies, server.runs[number])
    return outcome


def judge(outcome: Outcome, replies: list[dict[str, Any]], runs: int) -> None:
    """Take the replies to one request into account, which the server executed so many times."""
    if len(replies) != 1:
        outcome.lost += not replies
        outcome.answered_twice += len(replies) > 1
        return
    if "result" in replies[0]:
        outcome.results += 1
        return
    data = replies[0]["error"].get("data", {})
    kind = data.get("kind", "unknown")
    outcome.errors[kind] = outcome.errors.get(kind, 0) + 1
    outcome.reported_wrongly += runs > 0 and data.get("maybeProcessed") is not True


def table(outcome: Outcome) -> str:
    """The outcome for a person."""
    rows: list[tuple[str, object]] = [
        ("calls", outcome.calls),
        ("results", outcome.results),
        ("lost", outcome.lost),
        ("answered twice", outcome.answered_twice),
        ("executed twice", outcome.executed_twice),
        ("reported wrongly", outcome.reported_wrongly),
        ("sessions", outcome.sessions),
        ("memory at 25 %, MiB", f"{outcome.memory_at_quarter / 2**20:.1f}"),
        ("memory at the end, MiB", f"{outcome.memory_at_end / 2**20:.1f}"),
    ]
    rows += [(f"error: {kind}", count) for kind, count in sorted(outcome.errors.items())]
    rows += [(f"fault: {name}", count) for name, count in sorted(outcome.faults.items())]
    return "\n".join(f"{name:<40}{value:>10}" for name, value in rows)


def main() -> int:
    """The command line; 0 if all went well."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--calls", type=int, default=100_000)
    parser.add_argument("--at-once", type=int, default=64)
    parser.add_argument("--every", type=int, default=200, help="the distance between two faults")
    arguments = parser.parse_args()
    outcome = soak(arguments.calls, arguments.at_once, arguments.every)
    sys.stdout.write(table(outcome) + "\n" + json.dumps(asdict(outcome)) + "\n")
    return 0 if outcome.is_good else 1


if __name__ == "__main__":
    sys.exit(main())
