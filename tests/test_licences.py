"""What is linked into the wheel: under which licences, and with a single TLS."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from functools import cache
from importlib.metadata import metadata
from pathlib import Path

ROOT = Path(__file__).parents[1]

PERMITTED = {
    "Apache-2.0",
    "BSD-3-Clause",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
}
"""As in deny.toml, which says the same to `cargo deny`."""

BANNED = {"aws-lc-rs", "aws-lc-sys", "native-tls", "openssl", "openssl-sys"}
"""One TLS, rustls, and one crypto provider under it, ring."""

EXTRA = {
    "hdrhistogram": "OSI Approved :: Apache Software License",
    "matplotlib": "OSI Approved :: Python Software Foundation License",
    "rich": "MIT",
}
"""What `mcp-ferry[bench]` installs beside the wheel; the wheel itself has nothing of it."""


def told(*command: str) -> str:
    """What a command prints."""
    return subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout


@cache
def linked() -> dict[str, str]:
    """Every crate that is linked into the extension module, and its licence."""
    found = re.search(r"^host: (\S+)$", told("rustc", "-vV"), re.MULTILINE)
    assert found, "rustc names its host"
    metadata = json.loads(
        told(
            "cargo",
            "metadata",
            "--format-version",
            "1",
            "--offline",
            "--locked",
            "--filter-platform",
            found[1],
        )
    )
    packages = {package["id"]: package for package in metadata["packages"]}
    needs = {
        node["id"]: [
            dep["pkg"] for dep in node["deps"] if any(kind["kind"] is None for kind in dep["dep_kinds"])
        ]
        for node in metadata["resolve"]["nodes"]
    }
    reached: set[str] = set()
    waiting = [identity for identity, package in packages.items() if package["name"] == "ferry-py"]
    while waiting:
        identity = waiting.pop()
        if identity not in reached:
            reached.add(identity)
            waiting += needs[identity]
    return {packages[identity]["name"]: packages[identity]["license"] or "" for identity in reached}


def may_be_used(licence: str) -> bool:
    """Whether an SPDX expression can be met by what is permitted; a slash is an old form of OR."""
    for part in re.split(r" AND (?![^(]*\))", licence):
        choices = re.split(r" OR | / |/", part.strip("()"))
        if not any(choice.partition(" WITH ")[0].strip("() ") in PERMITTED for choice in choices):
            return False
    return True


def test_every_licence_is_permitted() -> None:
    assert {name: licence for name, licence in linked().items() if not may_be_used(licence)} == {}


def test_a_licence_that_is_not_permitted_would_be_seen() -> None:
    assert may_be_used("(MIT OR Apache-2.0) AND Unicode-3.0")
    assert not may_be_used("GPL-3.0")
    assert not may_be_used("MIT AND GPL-3.0")
    assert not may_be_used("")


def test_there_is_one_tls() -> None:
    names = set(linked())
    assert "rustls" in names
    assert names & BANNED == set()


def test_the_extra_packages_are_known_with_their_licences() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [re.split(r"[<>=~]", one)[0] for one in project["optional-dependencies"]["bench"]]
    assert set(wanted) == set(EXTRA)
    for name, licence in EXTRA.items():
        fields = ("License-Expression", "License", "Classifier")
        said = [one for field in fields for one in metadata(name).get_all(field) or []]
        assert licence in {one.removeprefix("License :: ") for one in said}
