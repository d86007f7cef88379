"""Messages of a gateway, recorded without account numbers, and classified."""

import re
import threading
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime

from loaders.ib.client.error_codes import PACING, classify_code
from loaders.ib.client.values import ApiEvent, machine_clock

# U1234567, DU1234567, DF..., I..., as they appear in texts
ACCOUNT = re.compile(r"\b(?:D?[UFI]|DFP|UXX)\d{4,}[A-Z]?\b")
HIDDEN = "<account>"


def mask(text: str, accounts: Iterable[str] = ()) -> str:
    """A text in one line without known account numbers, or what looks like one."""
    for account in sorted(filter(None, accounts), key=len, reverse=True):
        text = text.replace(account, HIDDEN)
    return ACCOUNT.sub(HIDDEN, " ".join(text.split()))


class EventLog:
    """Events that the client's thread writes and the loader takes."""

    def __init__(self, now: Callable[[], datetime | None]) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._events: list[ApiEvent] = []
        self._untimed: list[int] = []  # places of events that came before the clock was known

    def add(self, request_id: int, code: int, message: str, conid: int | None) -> None:
        """`message` is masked already."""
        row, at = classify_code(code, message), self._now()
        event = ApiEvent(
            at=at or machine_clock(),
            request_id=request_id,
            code=code,
            message=message,
            action=row.action,
            error_type=row.error_type,
            is_pacing=row.error_type == PACING,
            conid=conid,
        )
        with self._lock:
            if at is None:
                self._untimed.append(len(self._events))
            self._events.append(event)

    def restamp(self, at: datetime) -> None:
        """Give events that came before the clock was known this time."""
        with self._lock:
            for place in self._untimed:
                self._events[place] = replace(self._events[place], at=at)
            self._untimed.clear()

    def seen(self) -> list[ApiEvent]:
        with self._lock:
            return list(self._events)

    def take(self) -> list[ApiEvent]:
        with self._lock:
            taken, self._events = self._events, []
            self._untimed.clear()
            return taken
