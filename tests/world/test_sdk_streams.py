"""The ferry under sessions of the official Python SDK and of FastMCP, each in an environment of its own."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest

from tests.world.conftest import installed
from tests.world.elsewhere import ROOT, WITHIN, run_pytest, run_python
from tests.world.environments import (
    FASTMCP_TESTS,
    SDK1_SOURCE,
    SDK1_TESTS,
    SDK2_SOURCE,
    SDK2_TESTS,
    Environment,
)
from tests.world.peers import RunningPeer, name_of

pytestmark = pytest.mark.timeout(900)


@pytest.mark.parametrize(
    ("environment", "tests"),
    [(SDK1_TESTS, "test_sdk.py"), (SDK2_TESTS, "test_sdk.py"), (FASTMCP_TESTS, "test_fastmcp.py")],
    ids=["sdk1", "sdk2", "fastmcp"],
)
def test_a_session_over_the_ferry(environment: Environment, tests: str, ferry_alone: Path) -> None:
    run_pytest(installed(environment), [WITHIN / tests], [ferry_alone, ROOT])


@pytest.mark.parametrize("environment", [SDK1_TESTS, SDK2_TESTS], ids=name_of)
def test_a_session_over_the_ferry_with_every_real_server(
    environment: Environment, peer: RunningPeer, ferry_alone: Path
) -> None:
    wares, asks = peer.wares, peer.kind.asks
    words: list[str | Path] = [WITHIN / "visit.py", peer.url, json.dumps({**asdict(wares), "asks": asks})]
    seen = json.loads(run_python(installed(environment), words, [ferry_alone]))
    assert {wares.echo[0], wares.add[0]} <= set(seen["tools"])
    assert (seen["echo"], seen["add"]) == (wares.echo[2], wares.add[2])
    assert seen["slow"].startswith(wares.slow[2])
    assert seen["progress"] == ([1, 2, 3] if peer.kind.tells_progress else [])
    assert seen["resource"].startswith(wares.resource[1])
    if asks:
        assert wares.ask[2] in seen["ask"]


@dataclass(frozen=True)
class Suite:
    """Tests of the SDK's own, from its source archive, which reach their servers over the ferry."""

    name: str
    environment: Environment
    source: Environment
    tests: tuple[str, ...]
    chosen: str
    """Which of them: an expression for pytest's -k."""

    foreign: tuple[str, ...]
    """Those of them that test something the ferry does not have, see below."""


HTTP = "tests/shared/test_streamable_http.py"
RESPONSES = "tests/client/test_notification_response.py"
COMMON_FOREIGN = (
    # They hand the session's id to a second client, or count resumption tokens. The ferry gives out neither.
    "test_streamable_http_client_session_termination",
    "test_streamable_http_client_session_termination_204",
    "test_streamable_http_client_resumption",
    "test_streamable_http_client_receives_priming_event",
    "test_streamable_http_multiple_reconnections",
    # An answer and a notification race each other on two connections; in one process they do not.
    "test_streamable_http_client_get_stream",
)
SUITES = [
    Suite(
        "sdk1",
        SDK1_TESTS,
        SDK1_SOURCE,
        tests=(
            HTTP,
            RESPONSES,
            "tests/client/test_http_unicode.py",
            "tests/issues/test_1363_race_condition_streamable_http.py",
            "tests/server/fastmcp/test_integration.py",
        ),
        chosen="http or streamable",
        foreign=(
            *COMMON_FOREIGN,
            # They answer in place of a server, from within the SDK's HTTP client, and read its own words.
            "test_trailing_slash_redirect_within_origin_is_followed_by_the_transport",
            "test_redirect_to_another_origin_is_not_followed_and_fails_the_request",
            "test_https_endpoint_redirected_to_plain_http_is_explained_and_the_https_form_suggested",
            "test_unfollowed_redirect_location_is_named_without_its_query_string",
            "test_https_endpoint_redirected_to_plain_http_elsewhere_never_suggests_the_http_url",
            "test_resumption_redirected_elsewhere_fails_the_resumed_request",
        ),
    ),
    Suite(
        "sdk2",
        SDK2_TESTS,
        SDK2_SOURCE,
        tests=(
            HTTP,
            RESPONSES,
            "tests/client/test_http_unicode.py",
            "tests/interaction/lowlevel",
            "tests/interaction/mcpserver",
            "tests/interaction/transports/test_streamable_http.py",
        ),
        chosen="http or streamable",
        foreign=(
            *COMMON_FOREIGN,
            # It watches the requests in the SDK's HTTP client.
            "test_http_protocol_version_header_matches_meta_protocol_version_on_every_post",
            # They read the words in which the SDK's own transport puts an HTTP status or a broken body.
            "test_unexpected_content_type_sends_jsonrpc_error",
            "test_http_error_status_sends_jsonrpc_error",
            "test_invalid_json_response_sends_jsonrpc_error",
            "test_client_falls_back_to_generic_error_when_non_2xx_body_is_a_jsonrpc_result",
            "test_client_falls_back_to_session_terminated_when_404_body_is_malformed_json",
        ),
    ),
]


@pytest.mark.parametrize("suite", SUITES, ids=name_of)
def test_the_tests_of_the_sdk_over_the_ferry(suite: Suite, ferry_alone: Path) -> None:
    environment, source = installed(suite.environment), installed(suite.source)
    words = ["-p", "point_at_ferry", "-o", "addopts=", "-o", "log_cli=false", "-o", "pythonpath="]
    words += ["-k", f"({suite.chosen}) and not ({' or '.join(suite.foreign)})", "--tb=short", *suite.tests]
    run_pytest(environment, words, [ferry_alone, WITHIN], cwd=source.tree)
