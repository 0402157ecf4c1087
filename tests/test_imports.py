"""What the command line pays for at start: the modules that a real bridge run loads, and no more."""

from __future__ import annotations

import subprocess
import sys

import pytest

import mcp_ferry
from mcp_ferry._ferry import Server
from tests.support.ferry import DEADLINE, INITIALIZE, clean_environment

OWN = {"mcp_ferry", *(f"mcp_ferry.{name}" for name in ("_ferry", "cli", "exceptions", "logs", "settings"))}
ARGPARSE = {"argparse", "gettext", "locale", "_locale"}
RE = {"re", "_sre", "re._casefix", "re._compiler", "re._constants", "re._parser", "enum", "copyreg"}
FUNCTOOLS = {"functools", "_functools", "collections", "_collections", "reprlib", "operator", "_operator"} | {
    "itertools",
    "keyword",
    "types",
    "_types",
    "_weakref",
    "_thread",
    "warnings",
    "_warnings",
    "errno",
}
"""What those two stand on, which of it depends on the version of Python."""
ALLOWED = OWN | ARGPARSE | RE | FUNCTOOLS | {"__future__"}

NEVER = {
    "asyncio",
    "dataclasses",
    "importlib.metadata",
    "inspect",
    "json",
    "logging",
    "shutil",
    "typing",
    "urllib",
}
"""The expensive ones, by name: 10 to 40 ms each."""


def loaded(code: str, *arguments: str) -> set[str]:
    """The modules that a run of `code` loads."""
    message = str(INITIALIZE).replace("'", '"')
    ended = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", code, *arguments],
        input=message + "\n",
        capture_output=True,
        text=True,
        env=clean_environment(),
        timeout=DEADLINE,
        check=False,
    )
    lines = (line for line in ended.stderr.splitlines() if line.startswith("import time:"))
    return {line.rsplit("|", 1)[1].strip() for line in lines} - {"imported package"}


def test_a_bridge_run_loads_these_modules_and_no_other() -> None:
    with Server() as server:
        run = loaded("from mcp_ferry.cli import main; main()", server.url)
    extra = run - loaded("pass")
    assert "mcp_ferry._ferry" in extra
    assert not extra & NEVER
    assert extra - ALLOWED == set()


def test_importing_the_package_loads_nothing() -> None:
    assert loaded("import mcp_ferry") - loaded("pass") == {"mcp_ferry"}


def test_the_package_has_the_names_that_it_lists() -> None:
    for name in mcp_ferry.__all__:
        assert getattr(mcp_ferry, name)
    assert set(mcp_ferry.__all__) <= set(dir(mcp_ferry))
    with pytest.raises(AttributeError, match="nonsense"):
        mcp_ferry.__getattr__("nonsense")
