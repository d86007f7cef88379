"""What is to be done at a moment: the tasks of a trading day by the clock of New York.

    04:00 open interest of the session before, 07:30 once more, later what the morning missed · 09:25 contracts · 09:30 … 16:00 slots ·
    17:00 the close

Plain decisions about time; what is done already is asked of the warehouse (loaders.ib.planning.request).
"""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from loaders.errors import NotDue, UsageError
from loaders.ib.settings import IbSettings
from loaders.ib.slots import (
    NEW_YORK,
    Session,
    Slot,
    at_new_york,
    begun,
    date_in_new_york,
    session_after,
    session_before,
    session_on,
    within,
)

LAST_CHANCE = timedelta(minutes=5)  # before the close: once more what the last slot but one lacks
KEPT_SETS = 5  # sessions for which a set of contracts may stand in for a newer one


@dataclass(frozen=True)
class Enriched:
    """A session whose open interest is asked for: in which pass, and since when it is that one."""

    trade_date: date
    which: str  # first, confirm, late
    since: datetime


@dataclass(frozen=True)
class Agenda:
    """A moment (UTC), and the settings that say what it is for."""

    ib: IbSettings
    now: datetime

    @property
    def today(self) -> date:
        return date_in_new_york(self.now)

    @property
    def grace(self) -> timedelta:
        return timedelta(seconds=self.ib.slot_grace_seconds)

    def session(self) -> Session:
        """Today's. Raises NotDue on a day without one."""
        found = session_on(self.today)
        if found is None:
            following = session_after(self.today)
            raise NotDue(
                f"no slot: {self.today} is no trading day; the next is {following.trade_date}"
            )
        return found

    def slots(self, session: Session) -> list[Slot]:
        """Those of `slot_range`."""
        return within(session.slots, self.ib.slots)

    def at(self, clock: str) -> datetime:
        """A wall clock of New York, today."""
        return at_new_york(self.today, time.fromisoformat(clock))

    def last_call(self, session: Session) -> datetime:
        """When the session's last slot can no longer be captured."""
        return session.close_at + self.grace

    # -- slots ---------------------------------------------------------------------------------

    def slot_now(self, *, in_time: bool) -> Slot:
        """The newest slot that has begun. Raises NotDue; with `in_time` also once its grace is over."""
        session = self.session()
        slots = self.slots(session)
        found = begun(slots, self.now)
        if found is None:
            when = f"the first is at {slots[0].label}" if slots else "slot_range lets none through"
            raise NotDue(f"no slot: it is {self._clock()} in New York, {when}")
        if self.now > self.last_call(session):
            raise NotDue(f"no slot: the session of {self.today} is over")
        if in_time and self.now > found.at + self.grace:
            following = next((slot for slot in slots if slot.at > self.now), None)
            more = f"; the next is at {following.label}" if following else ""
            raise NotDue(f"no slot: it is {self._clock()} in New York{more}")
        return found

    def slot_named(self, label: str) -> Slot:
        """Today's slot by HH:MM. Raises UsageError for none and for one to come, NotDue without a session."""
        session = self.session()
        labels = [slot.label for slot in session.slots]
        if label not in labels:
            raise UsageError(f"--slot {label}: no slot of {self.today}", hint=", ".join(labels))
        found = session.slots[labels.index(label)]
        if found.at > self.now:
            raise UsageError(
                f"--slot {label} has not begun: it is {self._clock()} in New York",
                hint="`--run-day` waits for each slot",
            )
        if self.now > self.last_call(session):
            raise NotDue(
                f"no slot: the session of {self.today} is over, a quote of {label} cannot be had"
            )
        return found

    def slots_left(self) -> list[Slot]:
        """Today's slots whose grace is not over. Raises NotDue where there is none."""
        session = self.session()
        left = [slot for slot in self.slots(session) if self.now <= slot.at + self.grace]
        if not left:
            raise NotDue(f"no slot: none of {self.today} is left")
        return left

    def next_slot(self, after: datetime) -> Slot | None:
        """Today's first slot after a moment."""
        session = session_on(date_in_new_york(after))
        slots = self.slots(session) if session else []
        return next((slot for slot in slots if slot.at > after), None)

    def last_chance(self) -> Slot | None:
        """Within five minutes of the close: the last slot before, which may be mended once more."""
        session = session_on(self.today)
        if session is None or not session.close_at - LAST_CHANCE <= self.now < session.close_at:
            return None
        return begun(self.slots(session), session.close_at - LAST_CHANCE)

    # -- the other tasks -----------------------------------------------------------------------

    def discovery(self, *, by_clock: bool) -> Session:
        """The session whose contracts are to be found. Raises NotDue."""
        session = self.session()
        if self.now > session.close_at:
            raise NotDue(f"no discovery: the session of {self.today} is over")
        if by_clock and self.now < self.at(self.ib.pre_open_time):
            raise NotDue(f"discovery is at {self.ib.pre_open_time} in New York")
        return session

    def rests(self, failed_at: datetime | None) -> bool:
        """Does what discovery failed at a moment wait for the next slot?"""
        if failed_at is None:
            return False
        session = self.session()
        again = next((slot.at for slot in session.slots if slot.at > failed_at), session.close_at)
        return self.now < again

    def midday(self) -> bool:
        """Is it time for a further look at contracts?"""
        return self.ib.midday_refresh_enabled and self.now >= self.at(self.ib.midday_refresh_time)

    def close(self, *, by_clock: bool) -> Session:
        """The session whose close is to be captured. Raises NotDue."""
        session = self.session()
        if self.now < self.at(self.ib.close_snapshot_time):
            raise NotDue(f"the close snapshot is at {self.ib.close_snapshot_time} in New York")
        if by_clock and self.now > self.at(self.ib.close_snapshot_until):
            raise NotDue(f"the close snapshot of {self.today} ended {self.ib.close_snapshot_until}")
        return session

    def enriched(self) -> Enriched:
        """The session whose open interest is to be had now. Raises NotDue.

        Until the next publication the gateway shows that of the session before today's, so what the morning
        missed can be had all day (`late`).
        """
        session, day = self.session(), session_before(self.today).trade_date
        if self.now < self.at(self.ib.enrich_time):
            raise NotDue(f"open interest is asked for at {self.ib.enrich_time} in New York")
        if self.now >= session.open_at:
            return Enriched(day, "late", session.open_at)
        confirm = self.at(self.ib.enrich_confirm_time)
        if self.now >= confirm:
            return Enriched(day, "confirm", confirm)
        return Enriched(day, "first", self.at(self.ib.enrich_time))

    def enriched_day(self, day: date) -> date:
        """A day whose open interest is asked for by name. Raises UsageError."""
        if session_on(day) is None:
            raise UsageError(f"--date {day}: no trading day")
        if day >= self.today:
            raise UsageError(
                f"--date {day}: the open interest of a session is published on the next morning"
            )
        return day

    def _clock(self) -> str:
        return f"{self.now.astimezone(NEW_YORK):%H:%M}"


def asof_date(captured_at: datetime, published_at: str) -> date:
    """The session at whose end the position was as it is shown at a moment: the one before the newest
    session whose publication has passed."""
    day = date_in_new_york(captured_at)
    session = session_on(day)
    if session is None or captured_at < at_new_york(day, time.fromisoformat(published_at)):
        session = session_before(day)
    return session_before(session.trade_date).trade_date


def oldest_set(day: date) -> date:
    """The oldest session whose contracts may stand in for those of a day."""
    for _ in range(KEPT_SETS):
        day = session_before(day).trade_date
    return day
