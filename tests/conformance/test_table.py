"""The page on conformance tells what was recorded, and what was recorded is what the tests run."""

from __future__ import annotations

import json

from tests.conformance.scenarios import CLIENT, SERVER
from tests.conformance.table import PAGE, README, RESULTS, page, readme


def test_the_page_is_the_one_that_the_results_make() -> None:
    assert PAGE.read_text() == page(json.loads(RESULTS.read_text())), "run python -m tests.conformance.table"


def test_the_table_of_the_readme_is_current() -> None:
    told = README.read_text()
    assert told == readme(told, json.loads(RESULTS.read_text())), "run python -m tests.conformance.table"


def test_the_results_are_those_of_the_scenarios_that_are_run() -> None:
    recorded = [
        (row["side"], row["revision"], row["scenario"], row["suite"])
        for row in json.loads(RESULTS.read_text())
    ]
    run = [(one.side, one.revision, one.name, one.release) for one in (*CLIENT, *SERVER)]
    assert recorded == run, "run python -m tests.conformance.table --run"


def test_nothing_that_passes_without_the_bridge_is_lost_in_it() -> None:
    rows = json.loads(RESULTS.read_text())
    assert [row for row in rows if row["through the bridge"] != row.get("without it", "passed")] == []
