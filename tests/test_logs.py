"""Log records: what a line looks like, and that writing one never does harm."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from mcp_ferry import _ferry
from mcp_ferry.logs import ROOT, Log, printable, quoted
from tests.support.ferry import INITIALIZE, INITIALIZED, Ferry, call, request

SECRET = "s3cret-token"


@pytest.fixture(autouse=True)
def no_handlers_left() -> Iterator[None]:
    yield
    root = logging.getLogger(ROOT)
    root.handlers.clear()
    root.propagate = True
    root.setLevel(logging.NOTSET)


def logged(path: Path) -> list[str]:
    return path.read_text().splitlines()


def test_a_text_line(tmp_path: Path) -> None:
    log = Log(logging.INFO, str(tmp_path / "log"), "text")
    log.record(logging.WARNING, "mcp_ferry.session", "100% gone", {"status": "404", "said": "not here"})
    [line] = logged(tmp_path / "log")
    time, rest = line.split(" ", 1)
    assert time.endswith("Z")
    assert rest == 'warning session 100% gone said="not here" status=404'


def test_a_json_line(tmp_path: Path) -> None:
    log = Log(logging.INFO, str(tmp_path / "log"), "json")
    log.record(logging.ERROR, "mcp_ferry.session", "gone\n", {"status": "404"})
    [line] = logged(tmp_path / "log")
    record = json.loads(line)
    assert record.pop("time")
    assert record == {
        "level": "error",
        "logger": "mcp_ferry.session",
        "message": "gone\n",
        "fields": {"status": "404"},
    }


def test_what_is_below_the_level_is_not_written(tmp_path: Path) -> None:
    log = Log(logging.WARNING, str(tmp_path / "log"), "text")
    log.record(logging.INFO, "mcp_ferry.session", "hello", {})
    assert logged(tmp_path / "log") == []


@pytest.mark.parametrize("text", ["\x1b[31m", "a\nb", "a\rb", "\u202e", "\x9b", "\x00", "\u2028", "\ud800"])
def test_what_a_terminal_would_act_on_is_escaped(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    assert "\\" in shown


def test_values_that_are_not_one_word_are_quoted() -> None:
    assert quoted("word") == "word"
    assert quoted("") == '""'
    assert quoted('say "x"') == '"say \\"x\\""'


def test_a_reader_that_went_away_does_no_harm() -> None:
    log = Log(logging.INFO, None, "text")
    reading, writing = os.pipe()
    os.close(reading)
    log._descriptor = writing  # noqa: SLF001 - no other way to a broken pipe in this process
    try:
        log.record(logging.ERROR, "mcp_ferry.session", "lost", {})
        log.caution("lost too")
    finally:
        os.close(writing)


def test_secrets_and_session_ids_are_never_logged(tmp_path: Path) -> None:
    path = tmp_path / "log"
    sessions = []
    with _ferry.Server(observe=lambda seen: sessions.append(seen["issued_session"])) as server:
        env = {"MCP_FERRY_AUTH": f"Bearer {SECRET}", "MCP_FERRY_HEADERS": f"X-Key: {SECRET}"}
        arguments = (f"{server.url}?key={SECRET}", "--log-level", "debug", "--log-file", str(path))
        with Ferry(*arguments, env=env) as ferry:
            ferry.write(
                INITIALIZE, INITIALIZED, call(2, "echo", text="hi"), request(3, "no/such"), "not json"
            )
            ferry.reply(2)
            ferry.reply(3)
            assert ferry.end() == 0
            assert ferry.stderr == ""
    [session] = [one for one in sessions if one]
    text = path.read_text()
    assert text, "debug logs something"
    assert SECRET not in text
    assert session not in text


def test_json_logs_are_json_lines(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with (
        _ferry.Server() as server,
        Ferry(server.url, "--log-level", "debug", "--log-file", str(path), "--log-format", "json") as ferry,
    ):
        ferry.write(INITIALIZE)
        assert ferry.end() == 0
    records = [json.loads(line) for line in logged(path)]
    assert records
    assert all(record["logger"].startswith("mcp_ferry.") for record in records)


def test_a_log_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    Log(logging.INFO, str(tmp_path / "log"), "text")
    assert (tmp_path / "log").stat().st_mode & 0o077 == 0
