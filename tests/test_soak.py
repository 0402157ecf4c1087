"""The soak of bench/soak.py in its short form."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.soak import soak

CALLS = 2400


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="memory is read from /proc")
def test_nothing_is_lost_doubled_or_misreported_with_a_fault_in_every_50th_exchange() -> None:
    outcome = soak(CALLS, at_once=64, every=50)
    assert len(outcome.faults) == 9, "every kind of fault was met"
    assert outcome.is_good, outcome
    assert outcome.results + sum(outcome.errors.values()) == CALLS
    # Reset, cut, half an event, 502 and another id cost a call its result, but a list may be asked again.
    assert sum(outcome.errors.values()) < sum(outcome.faults.values())
