"""Errors on their way from one process to another."""

from __future__ import annotations

import pickle

import pytest

from mcp_ferry import ConfigError, RequestTimeout, ServerError, TransportError

TELLS = {"kind": "timeout", "httpStatus": None, "attempts": 1, "maybeProcessed": True}


@pytest.mark.parametrize(
    "error",
    [
        ServerError(-32602, "no such tool", {"tool": "sing"}),
        TransportError(-31010, "the connection broke", {**TELLS, "kind": "cut"}),
        RequestTimeout(-31004, "the server was silent", TELLS),
        ConfigError("url", "not a URL"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_is_the_same_after_pickling(error: Exception) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert vars(again) == vars(error)
