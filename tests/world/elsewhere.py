"""Programs that import the ferry, run by the interpreter of an environment with packages of its own."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.support.ferry import clean_environment
from tests.world.environments import Environment

ROOT = Path(__file__).parents[2]
"""Where such a program finds `tests.support`."""

WITHIN = Path(__file__).parent / "within"
"""Tests for the pytest of such an environment."""

PATIENCE = 600
"""Seconds after which a run counts as hung."""

TAIL = 6000
"""Characters of what a program says that are worth showing when it failed."""


def run_python(
    environment: Environment,
    words: Sequence[str | Path],
    path: Sequence[Path],
    cwd: Path = WITHIN,
    env: Mapping[str, str] | None = None,
) -> str:
    """Run a program that finds its modules on `path`, and return what it says; it must end well."""
    found = {"PYTHONPATH": ":".join(map(str, path)), "PYTHONDONTWRITEBYTECODE": "1", **(env or {})}
    done = subprocess.run(
        [environment.python, *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=cwd,
        env=clean_environment(found),
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, f"status {done.returncode}\n{done.stdout[-TAIL:]}"
    return done.stdout


def run_pytest(
    environment: Environment, words: Sequence[str | Path], path: Sequence[Path], cwd: Path = WITHIN
) -> None:
    """Have the environment's pytest run something; every test must hold."""
    run_python(environment, ["-m", "pytest", "-q", "--color=no", "-p", "no:cacheprovider", *words], path, cwd)
