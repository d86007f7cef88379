"""Record a stretch of sessions into files.

The program of the client writes the files; this says when to end, and what does not come.
"""

import time
from collections.abc import Callable, Mapping
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.compute as pc

from loaders.tq.live.recorded import describe_holes, find_holes, read_recorded
from loaders.tq.live.silence import Silence, Stamps
from loaders.tq.live.stretch import Stretch
from loaders.tq.trading_day import bounds, nanoseconds
from loaders.trading_time import SHANGHAI
from quotemill.errors import UpstreamError

if TYPE_CHECKING:
    from loaders.tq.context import Context

FLUSH = 3.0  # seconds between two writes of files: what a kill may lose
AFTER_CLOSE = timedelta(minutes=1)  # the exchange's last ticks
CLOCK_OFF = timedelta(minutes=1)  # by so much the clock may be away from the ticks that come


class Clock:
    """The time of a recorder: the load's clock.

    One that was given starts there and follows the ticks, as a sandbox's clock may run fast.
    """

    def __init__(self, clock: Callable[[], datetime], start: datetime | None) -> None:
        self._clock, self._start, self._at = clock, start, time.monotonic()
        self._newest: datetime | None = None

    def read_time(self, stamps: Stamps) -> datetime:
        if self._start is None:
            return self._clock()
        elapsed = timedelta(seconds=time.monotonic() - self._at)
        newest = max((stamp for stamp in stamps.values() if stamp is not None), default=None)
        if newest is not None and newest > self._start + elapsed:
            self._start, self._at, elapsed = newest, time.monotonic(), timedelta()
        return self._start + elapsed

    def find_offset(self, stamps: Stamps, now: datetime) -> timedelta | None:
        """How far the clock is ahead of a tick that has just come; None where it is right."""
        newest = max((stamp for stamp in stamps.values() if stamp is not None), default=None)
        before, self._newest = self._newest, newest
        if self._start is not None or None in (before, newest) or newest == before:
            return None
        assert newest is not None
        offset = now - newest
        return offset if abs(offset) > CLOCK_OFF else None


class Recorder:
    """Of each contract: what is missing of its day as far as reported, and its recorded ticks."""

    def __init__(self, ctx: "Context", folder: Path, stretch: Stretch) -> None:
        self._ctx, self._folder, self._stretch = ctx, folder, stretch
        self._day = stretch.day
        self._mains: dict[str, str] = {}
        self._holes: dict[str, str | None] = {}
        self._counts: dict[str, int] = {}
        self._silent: dict[str, datetime] = {}
        self._warned: set[str] = set()  # silent as far as they were in session
        self._start, _ = bounds(self._day, ctx.days)
        self._has_right_clock = True

    def record(self) -> None:
        """Record until the stretch ends. Raises UpstreamError where all contracts are silent."""
        ctx, stretch = self._ctx, self._stretch
        silence = Silence(stretch.hours, timedelta(seconds=ctx.settings.silence))
        clock = Clock(ctx.load.clock, ctx.load.as_of)
        varieties = list(stretch.hours)
        with closing(
            ctx.harvest.live(varieties, self._day, self._start, folder=self._folder, flush=FLUSH)
        ) as items:
            for item in items:
                stamps = {variety: stamp for variety, (_, stamp) in item.items()}
                self._report_mains({variety: contract for variety, (contract, _) in item.items()})
                now = clock.read_time(stamps)
                silence.note(stamps, now)
                if silence.list_open(now):
                    self._report_clock(clock.find_offset(stamps, now))
                self._report_silence(silence, now)
                if now >= stretch.end + AFTER_CLOSE:
                    break
        self._report_holes()
        counts = ", ".join(f"{count:,} ticks of {code}" for code, count in self._counts.items())
        ctx.load.reporter.line(
            f"recorded for {self._day} until {_clock(stretch.end)}: {counts or 'no ticks'}"
        )
        self._report_cut_off(silence.find_cut_off(stretch.end))

    def _report_mains(self, mains: dict[str, str]) -> None:
        """Report what is recorded, and what passed before it, at first and after a new client."""
        if mains == self._mains:
            return
        is_first, self._mains = not self._mains, mains
        if lacking := sorted(self._stretch.hours.keys() - mains.keys()):
            self._ctx.load.warn(f"no ticks of a main contract arrive for {', '.join(lacking)}")
        self._report_holes()
        if is_first:
            names, end = ", ".join(mains.values()), _clock(self._stretch.end)
            self._ctx.load.reporter.line(f"recording {names} ({self._day}) until {end}")

    def _report_holes(self) -> None:
        for variety, contract in self._mains.items():
            ticks = read_recorded(self._folder, contract, ["id", "datetime_ns"])
            if ticks is None:
                continue
            # days that are short keep their files, and the last one of a complete day stays
            is_today = pc.greater_equal(ticks["datetime_ns"], nanoseconds(self._start))
            self._counts[contract] = pc.sum(is_today).as_py()
            spans, known = self._stretch.hours[variety], self._holes.get(contract)
            opening, close = nanoseconds(spans[0][0]), nanoseconds(spans[-1][1])
            text = describe_holes(find_holes(ticks), opening, close)
            self._holes[contract] = text
            if text and text != known:
                self._ctx.load.warn(f"{contract} {self._day}: {text}")

    def _report_silence(self, silence: Silence, now: datetime) -> None:
        silent, is_open = silence.find_silent(now), silence.list_open(now)
        longest = f"{self._ctx.settings.silence / 60:.3g} minutes (tq.silence)"
        if silent and len(silent) == len(is_open):
            names = ", ".join(self._mains[variety] for variety in silent)
            raise UpstreamError(
                f"no tick of the {len(silent)} contracts in session has arrived for "
                f"{longest}, since {_clock(max(silent.values()))}: {names}",
                hint="Run `loaders check tq` to test the servers. Recorded ticks are "
                "kept. For contracts that trade less often, raise tq.silence.",
            )
        for variety in silent.keys() - self._silent.keys():
            since = _clock(silent[variety])
            self._ctx.load.warn(
                f"{self._mains[variety]}: no tick has arrived for {longest}, since "
                f"{since}, while others have ticks"
            )
        self._warned = self._warned - set(is_open) | silent.keys()
        for variety in (self._silent.keys() - silent.keys()) & set(is_open):
            self._ctx.load.reporter.line(f"{self._mains.get(variety, variety)} has ticks again")
        self._silent = silent

    def _report_cut_off(self, silent: Mapping[str, datetime]) -> None:
        """Report contracts whose ticks ended before the close. Raises UpstreamError for all."""
        names = [
            f"{self._mains[variety]} since {_clock(since)}"
            for variety, since in silent.items()
            if variety not in self._warned
        ]
        if not names:
            return
        text = f"no tick arrived before the close of {', '.join(names)}"
        if len(names) < len(self._mains):
            self._ctx.load.warn(text)
            return
        raise UpstreamError(
            text,
            hint="Wait for the evening's load, which fetches all ticks that the servers "
            "still have and lists the rest. The machine slept or was offline.",
        )

    def _report_clock(self, offset: timedelta | None) -> None:
        """Warn once of a clock that is off, by which the recorder ends too early or too late."""
        if offset is None or not self._has_right_clock:
            return
        self._has_right_clock = False
        side = "ahead of" if offset > timedelta() else "behind"
        self._ctx.load.warn(
            f"this machine's clock is {abs(offset) / timedelta(minutes=1):.0f} minutes "
            f"{side} the ticks, and recording ends by this clock: set the clock"
        )


def _clock(at: datetime) -> str:
    return f"{at.astimezone(SHANGHAI):%H:%M:%S}"
