"""The real ContextForge gateway, stateful, with a server of ours behind it."""

from __future__ import annotations

import json
import secrets
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.ferry import clean_environment
from tests.world.environments import Environment
from tests.world.processes import Server, free_port

ADMIN = "admin@example.com"


@dataclass(frozen=True)
class Gateway:
    """A running gateway with one virtual server."""

    base: str
    """Where it listens: no path, as its users give it."""

    server: str
    """The endpoint of the virtual server."""

    auth: str = field(repr=False)
    """The value of the Authorization header that it wants."""

    process: Server = field(repr=False)
    """To kill it and start it again, with its database and its secrets."""


@contextmanager
def running_gateway(
    environment: Environment, upstream: str, json_answers: bool, home: Path
) -> Iterator[Gateway]:
    """A gateway before `upstream` that answers with JSON or with event streams; its files go to `home`."""
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    settings = settings_of(home, json_answers)
    options = f"--host 127.0.0.1 --port {port} --workers 1 --timeout-graceful-shutdown 2".split()
    command: list[str | Path] = [environment.path / "bin" / "mcpgateway", "mcpgateway.main:app", *options]
    log = home / "gateway.log"
    with Server(command, ready="Application startup complete", log=log, env=settings, cwd=home) as process:
        auth = f"Bearer {token_of(environment, settings, home)}"
        yield Gateway(base, f"{base}/servers/{virtual_server(base, auth, upstream)}/mcp", auth, process)


def settings_of(home: Path, json_answers: bool) -> dict[str, str]:
    """The gateway's environment: stateful, no rate limit, secrets of this run.

    It refuses secrets of less than 3.5 bits a character, which hexadecimal ones are now and then.
    """
    password = f"Aa1!{secrets.token_hex(16)}"
    return {
        "JWT_SECRET_KEY": secrets.token_urlsafe(48),
        "AUTH_ENCRYPTION_SECRET": secrets.token_urlsafe(48),
        "BASIC_AUTH_PASSWORD": password,
        "PLATFORM_ADMIN_EMAIL": ADMIN,
        "PLATFORM_ADMIN_PASSWORD": password,
        "DEFAULT_USER_PASSWORD": password,
        "DATABASE_URL": f"sqlite:///{home / 'gateway.db'}",
        "CACHE_TYPE": "memory",
        "ENVIRONMENT": "development",
        "SSRF_ALLOW_LOCALHOST": "true",
        "SSRF_ALLOW_PRIVATE_NETWORKS": "true",
        "SSRF_DNS_FAIL_CLOSED": "false",
        "AUTH_REQUIRED": "true",
        "MCP_CLIENT_AUTH_ENABLED": "true",
        "MCP_REQUIRE_AUTH": "true",
        "USE_STATEFUL_SESSIONS": "true",
        "JSON_RESPONSE_ENABLED": str(json_answers).lower(),
        "RATE_LIMITING_ENABLED": "false",
        "MCPGATEWAY_UI_ENABLED": "false",
        "MCPGATEWAY_ADMIN_API_ENABLED": "true",
        "PLUGINS_ENABLED": "false",
        "OTEL_ENABLE_OBSERVABILITY": "false",
        "LOG_LEVEL": "INFO",  # so that it says when it is ready
    }


def token_of(environment: Environment, settings: dict[str, str], home: Path) -> str:
    """A token for the administrator, made by the gateway's own tool."""
    options = ["--username", ADMIN, "--exp", "1440", f"--secret={settings['JWT_SECRET_KEY']}"]
    printed = subprocess.run(
        [str(environment.python), "-m", "mcpgateway.utils.create_jwt_token", *options],
        env=clean_environment(settings),
        cwd=home,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return printed.split()[-1]


def virtual_server(base: str, auth: str, upstream: str) -> str:
    """Register the upstream, gather what it offers into a virtual server, and give that server's id."""

    def ask(method: str, path: str, body: object = None) -> Any:
        request = urllib.request.Request(
            f"{base}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": auth, "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    peer = {"name": "up", "url": upstream, "transport": "STREAMABLEHTTP", "visibility": "public"}
    ask("POST", "/gateways", peer)
    offered = {
        f"associated_{kind}": [entry["id"] for entry in ask("GET", f"/{kind}")]
        for kind in ("tools", "resources", "prompts")
    }
    description = {"name": "world", "description": "What the tests reach", **offered}
    made = ask("POST", "/servers", {"server": description, "visibility": "public"})
    identifier: str = made["id"]
    return identifier
