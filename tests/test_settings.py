"""The table of settings: who wins, what is read how, and that nothing in it is forgotten elsewhere."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from mcp_ferry import settings
from mcp_ferry._ferry import Config
from mcp_ferry.exceptions import ConfigError
from mcp_ferry.settings import SHELL_DEFAULTS, TABLE, complete_url, find, read_size
from tests.support.settings_page import page

ROOT = Path(__file__).parents[1]
WRAPPER_NAMES = {
    "MCP_SERVER_URL": "wrapper_url",
    "MCP_AUTH": "auth",
    "MCP_TOOL_CALL_TIMEOUT": "timeout",
    "MCP_WRAPPER_LOG_LEVEL": "log_level",
    "CONCURRENCY": "concurrency",
}


def test_each_setting_has_its_variable_and_flag() -> None:
    for row in TABLE:
        names = {"MCP_FERRY_" + row.name.upper(), *WRAPPER_NAMES}
        assert set(row.env) <= names
        if row.name not in {"url", "wrapper_url", "headers"}:
            assert row.flag == "--" + row.name.replace("_", "-")


def test_the_wrappers_names_are_all_there() -> None:
    assert {name: row.name for row in TABLE for name in row.env if name in WRAPPER_NAMES} == WRAPPER_NAMES


def test_the_native_module_takes_every_setting_and_no_other() -> None:
    shell = set(SHELL_DEFAULTS) | {"wrapper_url"}
    assert set(inspect.signature(Config).parameters) == {row.name for row in TABLE} - shell


def test_defaults_are_those_of_settings() -> None:
    assert set(Config.defaults()) <= {row.name for row in TABLE}


def test_flag_wins_over_own_variable_over_the_wrappers() -> None:
    environ = {"MCP_TOOL_CALL_TIMEOUT": "1"}
    assert find({}, environ).values["timeout"] == 1
    environ["MCP_FERRY_TIMEOUT"] = "2"
    assert find({}, environ).values["timeout"] == 2
    assert find({"timeout": "3"}, environ).values["timeout"] == 3


def test_an_empty_variable_counts_as_none() -> None:
    found = find({}, {"MCP_FERRY_TIMEOUT": "", "MCP_TOOL_CALL_TIMEOUT": "7"})
    assert found.values == {"timeout": 7}
    assert found.sources == {"timeout": "MCP_TOOL_CALL_TIMEOUT"}


def test_nothing_given_is_nothing_found() -> None:
    assert find({}, {}).values == {}


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("http://h", "http://h/mcp"),
        ("http://h/", "http://h/mcp"),
        ("http://h/mcp", "http://h/mcp"),
        ("http://h/mcp/", "http://h/mcp/"),
        ("http://h/sse", "http://h/mcp"),
        ("http://h/servers/1", "http://h/servers/1/mcp"),
        ("http://h/servers/1/sse", "http://h/servers/1/mcp"),
        ("http://h/sse/servers/1/sse", "http://h/sse/servers/1/mcp"),
        ("http://h/servers/1?k=/v", "http://h/servers/1/mcp?k=/v"),
    ],
)
def test_a_url_in_the_wrappers_words_is_completed(given: str, meant: str) -> None:
    assert complete_url(given) == meant


def test_which_url_wins() -> None:
    environ = {"MCP_SERVER_URL": "http://wrapper"}
    assert find({}, environ).values["url"] == "http://wrapper/mcp"
    environ["MCP_FERRY_URL"] = "http://own"
    assert find({}, environ).values["url"] == "http://own"
    assert find({"wrapper_url": "http://flag"}, environ).values["url"] == "http://flag/mcp"
    assert find({"url": "http://exact"}, environ).values["url"] == "http://exact"
    with pytest.raises(ConfigError, match="twice"):
        find({"url": "http://exact", "wrapper_url": "http://flag"}, environ)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1048576", 1 << 20),
        ("1MiB", 1 << 20),
        ("64mib", 64 << 20),
        ("10M", 10_000_000),
        ("2 kB", 2000),
        ("1G", 10**9),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert read_size(text) == size


def test_headers_take_values_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEAM", "blue")
    given = ["X-Team:${TEAM}", "X-Both: a ${TEAM} b:c ", "X-Plain:$TEAM"]
    found = find({"headers": given}, {}).values["headers"]
    assert found == [("X-Team", "blue"), ("X-Both", "a blue b:c"), ("X-Plain", "$TEAM")]


def test_headers_in_a_variable_stand_one_a_line() -> None:
    found = find({}, {"MCP_FERRY_HEADERS": "A: 1\n\nB: 2\n"})
    assert found.values["headers"] == [("A", "1"), ("B", "2")]


def test_an_unset_variable_in_a_header_is_named_and_the_value_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOT_THERE", raising=False)
    with pytest.raises(ConfigError, match="NOT_THERE") as caught:
        find({"headers": ["X-Key: s3cret ${NOT_THERE}"]}, {})
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("MCP_FERRY_TIMEOUT", "soon"),
        ("CONCURRENCY", "1.5"),
        ("MCP_FERRY_MAX_MESSAGE_SIZE", "big"),
        ("MCP_FERRY_INSECURE", "perhaps"),
        ("MCP_FERRY_LOG_LEVEL", "loud"),
        ("MCP_FERRY_LOG_FORMAT", "xml"),
        ("MCP_FERRY_HEADERS", "no colon"),
    ],
)
def test_what_cannot_be_read_is_named_by_its_source_with_a_remedy(name: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        find({}, {name: words})
    assert caught.value.name == name
    assert "write" in caught.value.message or "written" in caught.value.message


@pytest.mark.parametrize("word", ["OFF", "none", "DISABLE", "False", "0", "CRITICAL"])
def test_the_wrappers_words_for_no_log(word: str) -> None:
    assert find({}, {"MCP_WRAPPER_LOG_LEVEL": word}).values["log_level"] == settings.LEVELS["off"]


def test_the_page_in_docs_is_up_to_date() -> None:
    assert (ROOT / "docs" / "settings.md").read_text() == page(), "run `make docs`"
