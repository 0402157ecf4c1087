"""What was measured: latencies, counts, and what happened in each second."""

from __future__ import annotations

import time
from collections import Counter

from hdrh.histogram import HdrHistogram

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from mcp_ferry.bench.carrier import Failure
    from mcp_ferry.bench.plan import Call

LOWEST, HIGHEST, DIGITS = 1_000, 3_600_000_000_000, 3
"""Nanoseconds that are told apart, from a microsecond to an hour, to three significant digits."""
LATE = 2_000_000
"""Nanoseconds after its time from which on a call has begun late. The coarsest timers miss by half of it."""
SECOND = 1_000_000_000
EXAMPLE = 200
"""Characters of an error that are kept."""

now = time.perf_counter_ns


def new_histogram() -> HdrHistogram:
    """An empty one; all have the same shape, so that they can be added."""
    return HdrHistogram(LOWEST, HIGHEST, DIGITS)


class Tally:
    """The figures of one call of the mix. Latencies are those of calls answered without an error."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.histogram = new_histogram()
        self.answered = 0
        self.failed = 0


class Figures:
    """The figures of a run, kept as the calls come back."""

    def __init__(self, calls: Iterable[Call]) -> None:
        self.tallies = {call: Tally(call.name) for call in calls}
        self.failures: Counter[tuple[str, str]] = Counter()
        """How often each kind of failure came, by source and kind."""
        self.examples: dict[tuple[str, str], str] = {}
        """What the first of each kind said."""
        self.abandoned = 0
        """Calls that were under way when the run was interrupted."""
        self.begun = 0
        self.late = 0
        self.latest = 0
        """Nanoseconds by which the latest call was late."""
        self.timeline: list[list[int]] = []
        """For each second how many calls were answered, and how many failed."""
        self.recent: list[int] = []
        """Latencies since the view last took them."""
        self.start()

    def start(self) -> None:
        """The run begins now."""
        self.started = self.ended = now()
        self._cpu = time.process_time()
        self.cpu_seconds = 0.0

    def note_begin(self, due: int | None, begun: int) -> None:
        """A call was sent; `due` is when it should have been, if there was a schedule."""
        self.begun += 1
        if due is not None and begun - due > LATE:
            self.late += 1
            self.latest = max(self.latest, begun - due)

    def note_end(self, call: Call, since: int, failure: Failure | None) -> None:
        """A call came back; its latency counts from `since`."""
        self.ended = now()
        latency = max(self.ended - since, LOWEST)
        second = (self.ended - self.started) // SECOND
        while len(self.timeline) <= second:
            self.timeline.append([0, 0])
        tally = self.tallies[call]
        if failure is None:
            tally.answered += 1
            tally.histogram.record_value(min(latency, HIGHEST))
            self.recent.append(latency)
            self.timeline[second][0] += 1
        else:
            tally.failed += 1
            kind = (failure.source, failure.kind)
            self.failures[kind] += 1
            self.examples.setdefault(kind, failure.message[:EXAMPLE])
            self.timeline[second][1] += 1

    def stop(self) -> None:
        """The run is over."""
        self.cpu_seconds = time.process_time() - self._cpu

    @property
    def answered(self) -> int:
        """Calls answered without an error."""
        return sum(tally.answered for tally in self.tallies.values())

    @property
    def failed(self) -> int:
        """Calls that came back with an error, or not at all."""
        return sum(tally.failed for tally in self.tallies.values())

    @property
    def elapsed(self) -> float:
        """Seconds from the start to the last answer."""
        return (self.ended - self.started) / SECOND

    def take_recent(self) -> list[int]:
        """The latencies since the last time, for a view of the moment."""
        recent, self.recent = self.recent, []
        return recent
