"""Bounds of what one server takes: bytes, calls, running commands, watchers, times."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Sizes in bytes, times in seconds.

    body: of a call
    calls, changes: in a second, of all callers; a burst may be as large
    connections: that are open at a time, of strangers, and as many of callers who are signed in
    processes: commands that this home's consoles run at a time
    watchers: streams of events at a time
    receiving: until a whole request, or a whole body, is here
    sending: until a reader has taken what was sent
    statement: of one query
    """

    body: int = 2**20
    calls: int = 100
    changes: int = 10
    connections: int = 300
    processes: int = 4
    watchers: int = 64
    receiving: float = 10.0
    sending: float = 120.0
    statement: float = 20.0
