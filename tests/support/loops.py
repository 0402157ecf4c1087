"""What tests of the async API have in common."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

Run = Callable[[Coroutine[Any, Any, None]], None]
"""Runs a coroutine; the fixture `run` does so on either event loop."""


def text(result: dict[str, Any]) -> str:
    """The first text of what a tool gave."""
    found = result["content"][0]["text"]
    assert isinstance(found, str)
    return found
