"""The real servers and clients: which versions, and how each gets an environment of its own.

    python -m tests.world.environments            # install all of them, with visible progress
    python -m tests.world.environments npm gateway

Environments live under `.world/` of the clone. Each is stamped with its pins once it is complete, so
that a second run costs nothing, a changed pin builds afresh, and a run that was cut short is repaired
by the next. A lock beside each keeps two runs apart.
"""
# ruff: noqa: T201 -- it is a command of its own, which says what it does

from __future__ import annotations

import fcntl
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

HOME = Path(__file__).resolve().parents[2] / ".world"
"""Where the environments are: inside the clone, ignored by git."""

PATIENCE = 900
"""Seconds after which one install command counts as hung."""

TAIL = 12
"""Lines of an install log that are worth showing when it failed."""

WIDTH = 200
"""Characters of such a line: installers list all the versions there ever were."""


class UnavailableError(Exception):
    """An environment that could not be installed; the message says which, why, and where the log is."""


@dataclass(frozen=True)
class Environment:
    """A named set of pinned packages in a place of its own."""

    name: str
    kind: str
    """`python` for a virtual environment, `npm` for a directory with node_modules, `source` for archives of
    sources, unpacked."""

    pins: tuple[str, ...]
    """What is installed, as pip or npm spell it."""

    scripts: tuple[str, ...] = ()
    """npm only: the packages whose install scripts may run."""

    @property
    def path(self) -> Path:
        """The directory of the environment."""
        return HOME / self.name

    @property
    def log(self) -> Path:
        """What the last installation printed."""
        return HOME / f"{self.name}.log"

    @property
    def python(self) -> Path:
        """The interpreter of a Python environment."""
        return self.path / "bin" / "python"

    @property
    def tree(self) -> Path:
        """Where the first source archive was unpacked, which bears the name of its pin."""
        return self.path / self.pins[0].replace("==", "-")

    @property
    def modules(self) -> Path:
        """The packages of an npm environment."""
        return self.path / "node_modules"

    @property
    def identity(self) -> str:
        """What the stamp must say for the environment to be usable as it is."""
        runtime = platform.python_version() if self.kind == "python" else "node_modules"
        return json.dumps([self.kind, self.pins, self.scripts, runtime, platform.machine(), str(self.path)])

    @property
    def is_ready(self) -> bool:
        """Whether exactly these pins were installed completely, in this very place."""
        stamp = self.path / "stamp.json"
        return stamp.is_file() and stamp.read_text() == self.identity


UV = Environment("uv", "python", ("uv==0.13.9",))
"""An installer that takes seconds where pip takes minutes; without it, pip does."""

SDK1 = Environment("sdk1", "python", ("mcp==1.30.0",))
SDK2 = Environment("sdk2", "python", ("mcp==2.3.0",))
# Newer ones ask for a certifi that PyPI did not have when this was pinned.
FASTMCP = Environment("fastmcp", "python", ("fastmcp==4.1.2",))
GATEWAY = Environment("gateway", "python", ("mcp-contextforge-gateway==1.0.7",))
NPM = Environment(
    "npm",
    "npm",
    (
        "@modelcontextprotocol/sdk@1.32.2",
        "@modelcontextprotocol/client@2.4.0",
        "@modelcontextprotocol/server-everything@2026.8.31",
    ),
)
# The Inspector needs Node 22; the npm package `node` brings one for machines that have an older.
INSPECTOR = Environment(
    "inspector",
    "npm",
    ("@modelcontextprotocol/inspector@2.12.0", "node@22.23.3"),
    scripts=("node@22.23.3",),
)
# The protocol's official suite, twice: its stable release, and the newest that knows the revision of 2026.
CONFORMANCE = Environment(
    "conformance",
    "npm",
    (
        "stable@npm:@modelcontextprotocol/conformance@0.1.16",
        "next@npm:@modelcontextprotocol/conformance@0.2.0-alpha.12",
        "node@22.23.3",
    ),
    scripts=("node@22.23.3",),
)

# The SDK's own tests, and what they need beside the SDK.
SDK1_SOURCE = Environment("sdk1-source", "source", ("mcp==1.30.0",))
SDK2_SOURCE = Environment("sdk2-source", "source", ("mcp==2.3.0",))
PYTEST = ("pytest==9.2.0", "inline-snapshot==0.36.1", "dirty-equals==0.11", "trio==0.35.0")
ORJSON = "orjson==3.13.0"
"""What the ferry's async API needs where it is not installed, but found on the path."""
SDK1_TESTS = Environment("sdk1-tests", "python", ("mcp==1.30.0", "requests==2.34.2", *PYTEST, ORJSON))
SDK2_TESTS = Environment(
    "sdk2-tests",
    "python",
    ("mcp==2.3.0", "logfire==5.2.0", "opentelemetry-sdk==1.45.2", "blockbuster==1.5.29", *PYTEST, ORJSON),
)
RAY = Environment("ray", "python", ("ray==2.60.0", "pytest==9.2.0", ORJSON))
FASTMCP_TESTS = Environment("fastmcp-tests", "python", ("fastmcp==4.1.2", *PYTEST, ORJSON))
# What the examples use.
FASTAPI = Environment("fastapi", "python", ("fastapi==0.165.0", "uvicorn==0.54.0", ORJSON))
LANGCHAIN = Environment("langchain", "python", ("langchain==1.4.7", "langchain-mcp-adapters==0.3.2", ORJSON))
OPENAI_AGENTS = Environment("openai-agents", "python", ("openai-agents==0.24.0", ORJSON))

ALL = (
    *(SDK1, SDK2, FASTMCP, GATEWAY, NPM, INSPECTOR, CONFORMANCE),
    *(SDK1_SOURCE, SDK2_SOURCE, SDK1_TESTS, SDK2_TESTS, FASTMCP_TESTS, RAY),
    *(FASTAPI, LANGCHAIN, OPENAI_AGENTS),
)


def ensure(environment: Environment, *, with_uv: bool = True) -> Environment:
    """The environment, installed if it is not there yet.

    Raises `UnavailableError` if it cannot be had.
    """
    HOME.mkdir(exist_ok=True)
    with exclusive(environment):
        if not environment.is_ready:
            shutil.rmtree(environment.path, ignore_errors=True)
            with environment.log.open("w") as log:
                installation = Installation(environment, log)
                if environment.kind == "npm":
                    installation.by_npm()
                elif environment.kind == "source":
                    installation.by_download()
                elif with_uv:
                    installation.by_uv()
                else:
                    installation.by_pip()
            (environment.path / "stamp.json").write_text(environment.identity)
    return environment


@dataclass(frozen=True)
class Installation:
    """One filling of an environment, whose commands write into one log."""

    environment: Environment
    log: TextIO

    def by_uv(self) -> None:
        """A virtual environment filled by uv; by pip where uv cannot be had or does not get through."""
        environment = self.environment
        try:
            uv = ensure(UV, with_uv=False).path / "bin" / "uv"
            self.run(uv, "venv", "--python", sys.executable, environment.path)
            self.run(uv, "pip", "install", "--python", environment.python, *environment.pins)
        except UnavailableError:
            shutil.rmtree(environment.path, ignore_errors=True)
            self.by_pip()

    def by_pip(self) -> None:
        """A virtual environment filled by its own pip."""
        environment = self.environment
        self.run(sys.executable, "-m", "venv", environment.path)
        self.run(environment.python, "-m", "pip", "install", "--no-input", *environment.pins)

    def by_download(self) -> None:
        """Source archives, unpacked."""
        environment = self.environment
        environment.path.mkdir()
        pip = (sys.executable, "-m", "pip", "download", "--no-input", "--no-deps", "--no-binary", ":all:")
        self.run(*pip, "--dest", environment.path, *environment.pins)
        for archive in environment.path.glob("*.tar.gz"):
            self.run("tar", "xzf", archive, "-C", environment.path)

    def by_npm(self) -> None:
        """A private package with node_modules."""
        environment = self.environment
        environment.path.mkdir()
        manifest = {"private": True, "allowScripts": dict.fromkeys(environment.scripts, True)}
        (environment.path / "package.json").write_text(json.dumps(manifest))
        quiet = ("--no-audit", "--no-fund", "--no-progress")
        self.run("npm", "install", *quiet, *environment.pins, cwd=environment.path)

    def run(self, *command: str | Path, cwd: Path | None = None) -> None:
        """Run one command; raise `UnavailableError`, with the last lines of the log, if it fails."""
        words = [str(word) for word in command]
        problem = None
        try:
            done = subprocess.run(
                words,
                stdin=subprocess.DEVNULL,
                stdout=self.log,
                stderr=subprocess.STDOUT,
                cwd=cwd,
                env=plain_environment(),
                timeout=PATIENCE,
                check=False,
            )
            if done.returncode != 0:
                problem = f"`{words[0]}` ended with status {done.returncode}"
        except (OSError, subprocess.TimeoutExpired) as error:
            problem = str(error)
        if problem is not None:
            log = self.environment.log
            tail = [line[:WIDTH] for line in log.read_text(errors="replace").splitlines()[-TAIL:]]
            pins = ", ".join(self.environment.pins)
            raise UnavailableError("\n".join([f"{pins}: {problem}; see {log}", *tail]))


def plain_environment() -> dict[str, str]:
    """This process's environment without what would point an installer at the environment it runs in."""
    misleading = {"VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME", "PYTHONWARNINGS", "CONDA_PREFIX"}
    return {name: value for name, value in os.environ.items() if name not in misleading}


@contextmanager
def exclusive(environment: Environment) -> Iterator[None]:
    """Keep other processes away from the environment; they wait, then find it ready."""
    with (HOME / f"{environment.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def main(names: Sequence[str]) -> int:
    """Install the named environments (all by default), saying what goes on; 0 if every one is there."""
    known = {environment.name: environment for environment in ALL}
    unknown = [name for name in names if name not in known]
    if unknown:
        print(f"no such environment: {', '.join(unknown)} (there are {', '.join(known)})")
        return 2
    failed = 0
    for environment in [known[name] for name in names] or ALL:
        pins = ", ".join(environment.pins)
        print(f"{environment.name:<10} {pins} ...", end=" ", flush=True)
        started = time.monotonic()
        try:
            ensure(environment)
        except UnavailableError as problem:
            failed += 1
            print(f"not to be had; its tests will be skipped\n{problem}", flush=True)
        else:
            print(f"ready ({time.monotonic() - started:.0f} s)", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
