"""What the measurement of many sessions in one process consists of: the clients, the tasks, the targets."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path

from tests.world.environments import Environment

UVLOOP = "uvloop==0.23.0"
"""All clients run on the same event loop, the fastest that there is."""

PAIRS = "pairs"
"""The name under which bare POSTs take part."""

FERRY = "ferry"


@dataclass(frozen=True)
class Contestant:
    """A client, and where it is installed."""

    name: str
    label: str
    """How tables call it, with its version."""

    environment: Environment | None = None
    """`None` for that of this process."""

    @property
    def python(self) -> Path:
        """The interpreter that runs it."""
        return self.environment.python if self.environment else Path(sys.executable)


CONTESTANTS = (
    Contestant(FERRY, "mcp_ferry.Fleet"),
    Contestant("sdk2", "SDK 2.3.0", Environment("bench-sdk2", "python", ("mcp==2.3.0", UVLOOP))),
    Contestant("sdk1", "SDK 1.30.0", Environment("bench-sdk1", "python", ("mcp==1.30.0", UVLOOP))),
    Contestant(
        "fastmcp", "fastmcp 4.1.2", Environment("bench-fastmcp", "python", ("fastmcp==4.1.2", UVLOOP))
    ),
)
PEERS = frozenset(contestant.name for contestant in CONTESTANTS if contestant.name != FERRY)
EVERYBODY = PEERS | {FERRY}


@dataclass(frozen=True)
class Task:
    """One run of a client."""

    scenario: str
    """As in bench/clients/measuring.py."""

    sessions: int
    calls: int = 1
    """How many of each session."""

    in_flight: int = 64
    at_once: int = 64
    """Sessions that are being opened at once."""

    settle: float = 5.0
    """Seconds until memory is read."""

    only: frozenset[str] = EVERYBODY
    """The clients that it is for."""

    @property
    def name(self) -> str:
        """How results call it."""
        words = [self.scenario, str(self.sessions)]
        return "-".join([*words, str(self.in_flight)] if self.scenario == "calls" else words)

    def bounded(self, sessions: int, calls: int) -> Task:
        """The same with no more sessions, and no more calls in all."""
        fewer = min(self.sessions, sessions)
        return replace(self, sessions=fewer, calls=max(1, min(self.calls, calls // fewer)))


@dataclass(frozen=True)
class Plan:
    """The tasks, and how much of one is asked of a peer.

    Peers are slow, and what is compared is what one session or one call costs.
    """

    tasks: tuple[Task, ...]
    peer_sessions: int
    peer_calls: int

    def task_for(self, task: Task, name: str) -> Task:
        """What a client is given of a task."""
        return task.bounded(self.peer_sessions, self.peer_calls) if name in PEERS else task


def idle(sessions: int, only: frozenset[str], at_once: int = 64) -> Task:
    """Open them, and keep them. The ferry's default is 64 at once."""
    return Task("idle", sessions, at_once=at_once, only=only)


STALL = Task("stall", 64)

FULL = Plan(
    (
        *(Task("calls", sessions, 20, in_flight) for sessions in (200, 1000) for in_flight in (64, 256)),
        idle(100, PEERS),
        idle(1000, frozenset({FERRY})),
        idle(10_000, frozenset({FERRY}), at_once=256),
        Task(PAIRS, 10_000, at_once=256, only=frozenset({PAIRS})),
        STALL,
    ),
    peer_sessions=400,
    peer_calls=4000,
)

QUICK = Plan(
    (
        Task("calls", 200, 20, 64),
        idle(1000, frozenset({FERRY})),
        Task(PAIRS, 1000, only=frozenset({PAIRS})),
        STALL,
    ),
    peer_sessions=50,
    peer_calls=500,
)


@dataclass(frozen=True)
class Target:
    """What the ferry shall reach; how each is found stands in bench/fleet_report.py."""

    figure: str
    text: str
    limit: float
    more_is_better: bool = False

    def is_met(self, reached: float) -> bool:
        """Whether that is good enough."""
        return reached >= self.limit if self.more_is_better else reached <= self.limit


TARGETS = (
    Target("sdk2", "Calls per CPU-second at least 20 times the SDK 2.x's, in every cell", 20, True),
    Target("fastmcp", "Calls per CPU-second at least 10 times fastmcp's, in every cell", 10, True),
    Target("faults", "Wrong or lost answers of the ferry: none", 0),
    Target("memory", "An idle session costs at most 20 KiB", 20),
    Target("opening", "Opening a session takes at most 2 times the CPU of a bare pair of POSTs", 2),
    Target("stall", "No stall above 10 ms while 64 answers of 1 MiB arrive", 10),
)
