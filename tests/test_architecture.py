"""The walls between the rooms: who may depend on whom, read from the manifests and the sources."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

DATA = {"bytes", "http", "log", "serde", "serde_json", "url"}
CRATES = {
    "ferry-proto": DATA | {"base64", "httpdate", "memchr"},
    "ferry-io": {"bytes", "ferry-proto", "futures-util", "h2", "http", "http-body", "hyper", "hyper-rustls"}
    | {"hyper-util", "log", "rustix", "rustls", "rustls-platform-verifier", "shlex", "thiserror", "tokio"}
    | {"tower-service", "url"},
    "ferry-py": {"bytes", "ferry-io", "ferry-proto", "ferry-server", "libc", "log", "pyo3", "tokio"},
    "ferry-bench": {"bytes", "hdrhistogram", "http", "http-body-util", "hyper", "hyper-util", "memchr", "nix"}
    | {"serde", "serde_json", "thiserror", "tokio"},
    "ferry-server": DATA - {"url"} | {"getrandom", "http-body-util", "hyper", "hyper-util", "tokio"},
}
"""Each crate and all that it is built with. A new name here is a decision: the rules stay without a clock, a
socket and a runtime, and nobody but the binding knows Python."""

SOURCES = {
    "__init__": {f"mcp_ferry.{name}" for name in ("_ferry", "client", "exceptions", "fleet", "session")},
    "__main__": {"mcp_ferry.cli"},
    "cli": {"mcp_ferry", "mcp_ferry._ferry", "mcp_ferry.exceptions", "mcp_ferry.logs"},
    "client": {"mcp_ferry._ferry", "mcp_ferry.opening", "mcp_ferry.session"},
    "crossing": {"mcp_ferry._ferry", "mcp_ferry.exceptions"},
    "demo": {"mcp_ferry._ferry", "mcp_ferry.cli"},
    "exceptions": set[str](),
    "fleet": {f"mcp_ferry.{name}" for name in ("_ferry", "client", "exceptions", "opening", "session")}
    | {"mcp_ferry.turnstile"},
    "fastmcp": {"fastmcp.client.transports", "fastmcp.client.transports.base", "mcp", "mcp_ferry.client"}
    | {"mcp_ferry.sdk"},
    "logs": set[str](),
    "methods": {"mcp_ferry.exceptions", "mcp_ferry.session"},
    "notifications": {"mcp_ferry.exceptions", "mcp_ferry.opening", "mcp_ferry.session"},
    "opening": {"mcp_ferry.exceptions", "mcp_ferry.session"},
    "ray": {f"mcp_ferry.{name}" for name in ("client", "exceptions", "fleet", "methods", "session")}
    | {"ray", "ray.exceptions"},
    "sdk": {f"mcp_ferry.{name}" for name in ("_ferry", "client", "crossing", "exceptions")}
    | {"anyio", "anyio.lowlevel", "anyio.streams.memory", "mcp.shared.message", "mcp.types", "mcp_types"}
    | {"pydantic"},
    "session": {f"mcp_ferry.{name}" for name in ("_ferry", "crossing", "exceptions", "methods", "opening")}
    | {"mcp_ferry.notifications", "orjson"},
    "settings": {"mcp_ferry.exceptions"},
    "turnstile": set[str](),
}
"""Each module of the shell and what of the package it may import, and whose else; the rest must be the
standard library."""

BENCH = {
    "__init__": {"options", "command"},
    "carrier": {"plan"},
    "child": set[str](),
    "command": {
        "carrier",
        "ferry_carrier",
        "figures",
        "options",
        "picture",
        "plan",
        "process_carrier",
        "report",
        "runner",
        "view",
    }
    | {"orjson"},
    "ferry_carrier": {"carrier", "child", "plan", "orjson"},
    "figures": {"carrier", "plan", "hdrh"},
    "options": {"plan"},
    "picture": {"report", "hdrh", "matplotlib"},
    "plan": set[str](),
    "process_carrier": {"carrier", "plan"},
    "report": {"carrier", "figures", "options", "hdrh"},
    "runner": {"carrier", "figures", "plan"},
    "view": {"figures", "plan", "report", "rich"},
}
"""Each module of the load command, and what it may import of the command and of others' packages. All of them
may know the shell; nothing of the shell but the command line's dispatch may know them."""
RUNNER = {
    "__init__": {"command", "options"},
    "arguments": {"schema", "orjson"},
    "command": {"options", "output", "person"},
    "options": {"arguments"},
    "output": {"schema", "orjson"},
    "person": {"schema"},
    "schema": set[str](),
}
"""The same for the commands `list` and `call`."""
COMMANDS = {"bench": BENCH, "runner": RUNNER}
EXTRA = {"hdrh", "matplotlib", "orjson", "rich"}


def dependencies(kind: str | None) -> dict[str, set[str]]:
    """Each crate of the workspace and its direct dependencies (kind None: those it is built with)."""
    told = subprocess.run(
        ["cargo", "metadata", "--no-deps", "--format-version", "1", "--offline", "--locked"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    return {
        package["name"]: {one["name"] for one in package["dependencies"] if one["kind"] == kind}
        for package in json.loads(told.stdout)["packages"]
    }


def imports(source: Path) -> set[str]:
    """Every module that a source imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            found.add(node.module or "")
    return found


@pytest.mark.parametrize("crate", CRATES)
def test_a_crate_knows_what_stands_before_it_and_no_more(crate: str) -> None:
    assert dependencies(None)[crate] == CRATES[crate]


def test_every_crate_has_its_row() -> None:
    assert set(dependencies(None)) == set(CRATES)


@pytest.mark.parametrize("module", SOURCES)
def test_a_module_of_the_shell_imports_what_it_may(module: str) -> None:
    found = imports(ROOT / "python" / "mcp_ferry" / f"{module}.py")
    assert {name for name in found if name.partition(".")[0] not in sys.stdlib_module_names} <= SOURCES[
        module
    ]


def test_every_module_of_the_shell_has_its_row() -> None:
    assert {path.stem for path in (ROOT / "python" / "mcp_ferry").glob("*.py")} == set(SOURCES)


@pytest.mark.parametrize(
    ("command", "module"), [(command, module) for command, rows in COMMANDS.items() for module in rows]
)
def test_a_module_of_a_command_imports_what_it_may(command: str, module: str) -> None:
    found = imports(ROOT / "python" / "mcp_ferry" / command / f"{module}.py")
    shell = {f"mcp_ferry.{name}" for name in SOURCES if name != "demo"} | {"mcp_ferry", "mcp_ferry._ferry"}
    prefix = f"mcp_ferry.{command}."
    own = {name.removeprefix(prefix) for name in found if name.startswith(prefix)}
    others = {name.partition(".")[0] for name in found if not name.startswith("mcp_ferry")}
    assert own | others & EXTRA <= COMMANDS[command][module]
    assert others - EXTRA <= set(sys.stdlib_module_names)
    assert {name for name in found if name.startswith("mcp_ferry")} <= shell | {f"mcp_ferry.{command}"} | {
        prefix + name for name in own
    }


@pytest.mark.parametrize("command", COMMANDS)
def test_every_module_of_a_command_has_its_row(command: str) -> None:
    assert {path.stem for path in (ROOT / "python" / "mcp_ferry" / command).glob("*.py")} == set(
        COMMANDS[command]
    )
