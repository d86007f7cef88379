"""Contracts that have no tick in their session, as where a feed is frozen."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from loaders.tq.live.stretch import Spans

Stamps = Mapping[str, datetime | None]


class Silence:
    """Since when each variety has been silent, by the stamps that were noted.

    `longest`: how long one may be silent within a session.
    """

    def __init__(self, hours: Mapping[str, Spans], longest: timedelta) -> None:
        self._hours, self._longest = hours, longest
        self._stamps: dict[str, datetime | None] = {}
        self._ticked_at: dict[str, datetime] = {}

    def note(self, stamps: Stamps, now: datetime) -> None:
        """Note the newest stamps; a variety that is not among them is not watched any more."""
        for variety, stamp in stamps.items():
            if variety not in self._stamps or self._stamps[variety] != stamp:
                self._ticked_at[variety] = now
        self._stamps = dict(stamps)

    def list_open(self, now: datetime) -> list[str]:
        """The noted varieties in session."""
        return [variety for variety in self._stamps if self._opened_at(variety, now) is not None]

    def find_silent(self, now: datetime) -> dict[str, datetime]:
        """Those that have been silent for too long, and since when."""
        silent = {}
        for variety in self.list_open(now):
            opened_at = self._opened_at(variety, now)
            assert opened_at is not None
            since = max(opened_at, self._ticked_at[variety])
            if now - since >= self._longest:
                silent[variety] = since
        return silent

    def find_cut_off(self, end: datetime) -> dict[str, datetime]:
        """Those without a tick for too long before the close of their last session until `end`.

        And since when, by their stamps: nobody may have watched, as where the machine slept.
        """
        silent = {}
        for variety, stamp in self._stamps.items():
            closed = [span for span in self._hours.get(variety, ()) if span[1] <= end]
            for start, close in closed[-1:]:
                since = max(start, stamp or start)
                if close - since >= self._longest:
                    silent[variety] = since
        return silent

    def _opened_at(self, variety: str, now: datetime) -> datetime | None:
        spans: Iterable[tuple[datetime, datetime]] = self._hours.get(variety, ())
        return next((start for start, end in spans if start <= now < end), None)
