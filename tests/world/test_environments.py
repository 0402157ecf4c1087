"""The environments of the real servers and clients: built once, rebuilt when due, missed loudly."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import pytest

from tests.world import environments
from tests.world.environments import Environment, Installation, UnavailableError, ensure

# pip is in every new environment, so this one is built without a network.
BARE = Environment("bare", "python", ("pip",))


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A place for environments that is only this test's."""
    monkeypatch.setattr(environments, "HOME", tmp_path)
    return tmp_path


def test_an_environment_is_built_once_and_again_when_its_pins_change() -> None:
    ensure(BARE, with_uv=False)
    assert BARE.python.exists()
    mark = BARE.path / "mark"
    mark.touch()
    ensure(BARE, with_uv=False)
    assert mark.exists()
    ensure(dataclasses.replace(BARE, pins=("pip", "pip")), with_uv=False)
    assert not mark.exists()


def test_what_was_cut_short_is_not_taken_for_complete() -> None:
    BARE.path.mkdir()
    assert not BARE.is_ready


def test_a_failure_names_the_pins_and_shows_the_end_of_the_log() -> None:
    with BARE.log.open("w") as log, pytest.raises(UnavailableError) as failure:
        Installation(BARE, log).run(sys.executable, "-c", "print('the reason'); raise SystemExit(3)")
    first, *rest = str(failure.value).splitlines()
    assert first.startswith("pip: ")
    assert "status 3" in first
    assert str(BARE.log) in first
    assert rest == ["the reason"]


def test_an_installer_that_is_not_there_is_a_failure_too() -> None:
    with BARE.log.open("w") as log, pytest.raises(UnavailableError, match="no-such-installer"):
        Installation(BARE, log).run("no-such-installer")
