"""Fixtures for all tests."""

from __future__ import annotations

import asyncio

import pytest
import uvloop

from tests.support.loops import Run


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Run a coroutine, on either event loop."""
    return asyncio.run if request.param == "asyncio" else uvloop.run
