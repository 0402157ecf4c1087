"""Each scenario of the official suite, through the bridge."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from pathlib import Path

import pytest

from tests.conformance import suite
from tests.conformance.scenarios import CLIENT, NEXT, NOT_ASKED, NOT_YET, SERVER, STABLE, Scenario
from tests.conformance.suite import Report
from tests.world.conftest import installed
from tests.world.environments import CONFORMANCE, SDK1, SDK2

pytestmark = pytest.mark.timeout(300)

Reports = Mapping[Scenario, Future[Report]]


@pytest.fixture(scope="module", autouse=True)
def environments() -> None:
    """The suite and the SDKs, or a skip."""
    for environment in (CONFORMANCE, SDK1, SDK2):
        installed(environment)


def selected(request: pytest.FixtureRequest, test: str) -> list[Scenario]:
    """The scenarios that this run wants of a test, in its order."""
    items = [item for item in request.session.items if isinstance(item, pytest.Function)]
    parameters = [item.callspec.params for item in items if item.originalname == test]
    return [scenario for one in parameters if isinstance(scenario := one["scenario"], Scenario)]


@pytest.fixture(scope="module")
def client_reports(request: pytest.FixtureRequest) -> Iterator[Reports]:
    """What becomes of the client scenarios."""
    with suite.under_way(selected(request, "test_client_scenario")) as reports:
        yield reports


@pytest.fixture(scope="module")
def server_reports(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Reports]:
    """What becomes of the server scenarios."""
    logs: Path = tmp_path_factory.mktemp("conformance")
    chosen = selected(request, "test_server_scenario")
    with (
        suite.everything(logs) as url,
        suite.front(url, logs) as front,
        suite.under_way(chosen, front) as reports,
    ):
        yield reports


@pytest.mark.parametrize("scenario", CLIENT, ids=lambda scenario: scenario.identity)
def test_client_scenario(scenario: Scenario, client_reports: Reports) -> None:
    report = client_reports[scenario].result()
    assert report.has_passed, report.text


@pytest.mark.parametrize("scenario", SERVER, ids=lambda scenario: scenario.identity)
def test_server_scenario(scenario: Scenario, server_reports: Reports) -> None:
    report = server_reports[scenario].result()
    assert report.has_passed, report.text


def test_every_scenario_of_the_suite_is_accounted_for() -> None:
    tried = {scenario.name for scenario in (*CLIENT, *SERVER)}
    untried = [*NOT_YET, *(name for names in NOT_ASKED.values() for name in names)]
    assert tried.isdisjoint(untried)
    assert tried.union(untried) == suite.listed(STABLE) | suite.listed(NEXT)


@pytest.mark.parametrize(
    "text",
    [
        "SKIPPED: scenario 'ping' is not applicable",
        "Passed: 0/0, 0 failed, 0 warnings",
        "Passed: 3/3, 0 failed, 1 warnings",
        "Passed: 3/4, 1 failed, 0 warnings",
    ],
)
def test_what_was_skipped_or_warned_of_has_not_passed(text: str) -> None:
    assert not suite.judged(0, text).has_passed


def test_a_suite_that_failed_has_not_passed() -> None:
    assert not suite.judged(1, "Passed: 3/3, 0 failed, 0 warnings").has_passed
    assert suite.judged(0, "Passed: 3/3, 0 failed, 0 warnings").has_passed
