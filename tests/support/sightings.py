"""What the strict server tells of each exchange: sessions opened, sessions ended, messages seen."""

from __future__ import annotations

import json
import threading
from typing import Any


class Sightings:
    """Pass `see` to a server as its `observe`; may be shared by servers that come one after the other."""

    def __init__(self) -> None:
        self.opened: set[str] = set()
        self.ended: set[str] = set()
        self.messages: list[dict[str, Any]] = []
        """Every message that was POSTed, in order, with the status that it was answered by as `status`."""
        self._lock = threading.Lock()

    def see(self, exchange: dict[str, Any]) -> None:
        """Take one exchange in."""
        headers = dict(exchange["headers"])
        with self._lock:
            if exchange["issued_session"]:
                self.opened.add(exchange["issued_session"])
            if exchange["method"] == "DELETE":
                self.ended.add(headers["mcp-session-id"])
            if exchange["method"] == "POST":
                self.messages.append(json.loads(exchange["body"]) | {"status": exchange["status"]})
