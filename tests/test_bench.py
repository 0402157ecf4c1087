"""How the benchmark reads its results. What it measures is not judged here: tests assert no times."""

from __future__ import annotations

from typing import Any

from bench.summary import Summary, Target, is_met

LABELS = {"floor": "the floor", "ferry": "mcp-ferry", "slowpoke": "slowpoke 1.0", "python": "bare"}


def run(bridge: str, number: int, **report: Any) -> dict[str, Any]:
    """One run of the echo scenario with a call outstanding."""
    return {
        "bridge": bridge,
        "round": number,
        "task": "echo-1-json",
        "report": {"load_average": 0.5} | report,
    }


def summary(*runs: dict[str, Any]) -> Summary:
    return Summary({"about": {}, "labels": LABELS, "missing": {}, "runs": list(runs)})


def test_ratios_are_taken_within_a_round_so_that_a_busy_round_does_not_count_double() -> None:
    found = summary(
        *(run("floor", number, cpu_us_per_call=cost) for number, cost in enumerate([10, 10, 40])),
        *(run("ferry", number, cpu_us_per_call=cost) for number, cost in enumerate([20, 20, 80])),
    )
    cell = found.cells["cpu-1", "ferry"]
    assert cell.values == (20, 20, 80)
    assert (cell.median, cell.to_floor, cell.load) == (20, 2, 0.5)


def test_a_machine_is_busy_if_more_ran_than_the_bench() -> None:
    for load, busy in ((1.9, False), (2.1, True)):
        found = summary(
            run("ferry", 0, load_average=load),
            run("ferry", 1, load_average=load),
            run("ferry", 2, load_average=90.0),
            run("ferry", 0, load_average=90.0) | {"task": "fleet-50"},
            run("slowpoke", 0, load_average=90.0),
        )
        found.about["cores"] = 2
        assert (found.load, found.was_busy) == (load, busy)


def test_a_target_is_met_or_not_in_the_direction_of_its_figure() -> None:
    found = summary(
        run("floor", 0, cpu_us_per_call=10.0, per_second=1000),
        run("ferry", 0, cpu_us_per_call=25.0, per_second=700),
        run("slowpoke", 0, cpu_us_per_call=500.0, per_second=10),
    )
    costs = Target("", "cpu-1", 2, "floor")
    rate = Target("", "rate-1", 0.5, "floor")
    peers = Target("", "cpu-1", 0.1, "peer")
    reached = [found.reached(target) for target in (costs, rate, peers)]
    assert reached == [2.5, 0.7, 0.05]
    met = [
        is_met(target, value) for target, value in zip((costs, rate, peers), reached, strict=True) if value
    ]
    assert met == [False, True, True]


def test_a_bridge_that_failed_has_no_figure_but_its_reason() -> None:
    found = summary(run("slowpoke", 0, problem="no answer for 30 s", counts={"lost": 3}))
    cell = found.cells["cpu-1", "slowpoke"]
    assert (cell.median, cell.problem) == (None, "no answer for 30 s")
    assert found.faults("slowpoke")["lost"] == 3
    assert found.reached(Target("", "cpu-1", 2, "floor")) is None


def test_a_run_with_too_few_calls_says_nothing_about_growth() -> None:
    growth = Target("", "growth", 512, least_calls=1_000_000)

    def grown(answered: int) -> dict[str, Any]:
        report = {"growth_kib": 20, "counts": {"answered": answered}}
        return {"bridge": "ferry", "round": 0, "task": "growth", "report": report}

    assert summary(grown(99_000)).reached(growth) is None
    assert summary(grown(1_000_000)).reached(growth) == 20
