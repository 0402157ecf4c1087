"""The bridges that are measured: the ferry, the floor, and every other bridge at a pinned version.

A peer's environment is installed on first use, beside those of the tests. One that cannot be had is named
in the results and left out.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.world.environments import FASTMCP, GATEWAY, HOME, Environment, UnavailableError, ensure

ROOT = Path(__file__).resolve().parents[1]
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve() / "release"
"""Where cargo leaves the load generator, the floor and the servers."""

NPM_BRIDGES = Environment("bench-npm", "npm", ("supergateway@4.0.0", "mcp-remote@0.15.1"))
MCP_PROXY = Environment("bench-mcp-proxy", "python", ("mcp-proxy==0.13.0",))

Command = tuple[str, ...]


@dataclass(frozen=True)
class Bridge:
    """A bridge and how it is started."""

    name: str
    label: str
    """How tables and pictures call it, with its version."""

    command: Callable[[str], Command]
    """From the endpoint's URL."""

    environment: Environment | None = None
    """What has to be installed for it."""

    lenient: bool = False
    """Whether it sends the strict server too little, so that it is measured against timekeeper."""

    variables: Mapping[str, str] = field(default_factory=dict)
    """What its environment has to hold."""

    def prepare(self) -> None:
        """Install what it needs; raise `UnavailableError` if that cannot be had."""
        if self.environment is not None:
            ensure(self.environment)
        program = self.command("http://127.0.0.1")[0]
        if shutil.which(program) is None:
            raise UnavailableError(f"{self.name}: there is no {program}")


def script(environment: Environment, name: str) -> str:
    """A program of a Python environment."""
    return str(environment.path / "bin" / name)


def module(path: str) -> str:
    """A file of the npm bridges."""
    return str(NPM_BRIDGES.modules / path)


def bridges(ferry: str) -> tuple[Bridge, ...]:
    """All bridges, ours first; `ferry` is the command to measure as the ferry."""
    return (
        Bridge("floor", "the floor", lambda url: (str(TARGET / "floor"), url)),
        Bridge("ferry", "mcp-ferry", lambda url: (ferry, url)),
        Bridge(
            "supergateway",
            "supergateway 4.0.0",
            lambda url: (
                *("node", module("supergateway/dist/index.js")),
                *("--streamableHttp", url, "--logLevel", "none"),
            ),
            NPM_BRIDGES,
        ),
        Bridge(
            "mcp-remote",
            "mcp-remote 0.15.1",
            lambda url: (
                *("node", module("mcp-remote/dist/proxy.js")),
                *(url, "--allow-http", "--transport", "http-only", "--silent"),
            ),
            NPM_BRIDGES,
            variables={"MCP_REMOTE_CONFIG_DIR": str(HOME / "bench-mcp-remote")},
        ),
        Bridge(
            "mcp-proxy",
            "mcp-proxy 0.13.0",
            lambda url: (
                *(script(MCP_PROXY, "mcp-proxy"), "--log-level", "ERROR"),
                *("--transport", "streamablehttp", url),
            ),
            MCP_PROXY,
        ),
        Bridge(
            "wrapper",
            "mcpgateway.wrapper 1.0.7",
            lambda url: (script(GATEWAY, "python"), "-m", "mcpgateway.wrapper", "--url", url),
            GATEWAY,
            lenient=True,
            # It reads the settings of the whole gateway and refuses their defaults.
            variables={
                "JWT_SECRET_KEY": secrets.token_urlsafe(48),
                "AUTH_ENCRYPTION_SECRET": secrets.token_urlsafe(48),
                "BASIC_AUTH_PASSWORD": f"Aa1!{secrets.token_hex(16)}",
                "PLATFORM_ADMIN_PASSWORD": f"Aa1!{secrets.token_hex(16)}",
            },
        ),
        Bridge(
            "fastmcp",
            "fastmcp 4.1.2 proxy",
            lambda url: (script(FASTMCP, "fastmcp"), "run", url, "--no-banner", "--log-level", "ERROR"),
            FASTMCP,
            variables={"FASTMCP_CHECK_FOR_UPDATES": "off"},
        ),
    )
