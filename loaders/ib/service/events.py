"""What a gateway said: kept for the record, without account numbers, and counted where it is pacing."""

import re
import threading
from collections.abc import Callable, Iterable
from datetime import datetime

from loaders.ib.service.error_codes import PACING, meaning_of
from loaders.ib.service.gateway import ApiEvent

# U1234567, DU1234567, DF..., I..., as they are told of in texts
ACCOUNT = re.compile(r"\b(?:D?[UFI]|DFP|UXX)\d{4,}[A-Z]?\b")
HIDDEN = "<account>"


def masked(text: str, accounts: Iterable[str] = ()) -> str:
    """A text without the account numbers that are known, or that look like one; one line."""
    for account in sorted(filter(None, accounts), key=len, reverse=True):
        text = text.replace(account, HIDDEN)
    return ACCOUNT.sub(HIDDEN, " ".join(text.split()))


class EventLog:
    """Written by the thread of the client, taken by the loader."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._events: list[ApiEvent] = []

    def add(self, request_id: int, code: int, message: str, conid: int | None) -> ApiEvent:
        """`message` is masked already."""
        row = meaning_of(code, message)
        event = ApiEvent(
            at=self._now(),
            request_id=request_id,
            code=code,
            message=message,
            action=row.action,
            error_type=row.error_type,
            is_pacing=row.error_type == PACING,
            conid=conid,
        )
        with self._lock:
            self._events.append(event)
        return event

    def seen(self) -> list[ApiEvent]:
        with self._lock:
            return list(self._events)

    def take(self) -> list[ApiEvent]:
        with self._lock:
            taken, self._events = self._events, []
            return taken
