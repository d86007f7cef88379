"""What the clock of New York asks for: the tasks of a trading day.

    04:00  open interest of the session before; 07:30 once more; later what the morning missed
    09:25  contracts of the session
    09:30 … 16:00  slots; by a setting also 15:45
    17:00  the close

Decisions about time alone; what is done already is a question to the warehouse (planning.due).
"""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from loaders.errors import NotDue, UsageError
from loaders.ib.settings import IbSettings
from loaders.ib.slots import (
    EVERY,
    NEW_YORK,
    Session,
    Slot,
    at_new_york,
    date_in_new_york,
    latest_slot,
    session_after,
    session_before,
    session_on,
    within,
)

BARS_ARE_FINAL = timedelta(hours=2)  # after the close
LAST_CHANCE = timedelta(minutes=5)  # before the close: the last slot before it is completed
# before the next slot a capture begins no batch: one that is under way ends, and the lane is free
MARGIN = timedelta(minutes=2)
STAND_IN_SESSIONS = 5  # for which a set of contracts may stand in for a newer one


@dataclass(frozen=True)
class InterestPass:
    """A session whose open interest is requested, the pass, and when that pass started."""

    trade_date: date
    name: str  # first, confirm, late
    since: datetime


@dataclass(frozen=True)
class Timetable:
    """A time (UTC), and the settings that say what it is for."""

    ib: IbSettings
    now: datetime

    @property
    def today(self) -> date:
        return date_in_new_york(self.now)

    @property
    def grace(self) -> timedelta:
        return timedelta(seconds=self.ib.slot_grace_seconds)

    @property
    def clock(self) -> str:
        """HH:MM in New York."""
        return f"{self.now.astimezone(NEW_YORK):%H:%M}"

    def session(self) -> Session:
        """Today's session. Raises NotDue on a day without one."""
        session = session_on(self.today)
        if session is None:
            following = session_after(self.today)
            raise NotDue(
                f"no slot: {self.today} is no trading day; the next is {following.trade_date}"
            )
        return session

    def slots(self, session: Session) -> list[Slot]:
        """The slots of a session within `slot_range`."""
        return within(self._all_slots(session), self.ib.slots)

    def _all_slots(self, session: Session) -> list[Slot]:
        further = [session.slot_before_close] if self.ib.slot_before_close_enabled else []
        return sorted([*session.slots, *further], key=lambda slot: slot.at)

    def at(self, clock: str) -> datetime:
        """A wall clock of New York, today."""
        return at_new_york(self.today, time.fromisoformat(clock))

    def last_call(self, session: Session) -> datetime:
        """When the grace of the session's last slot ends."""
        return session.close_at + self.grace

    def current_slot(self, *, by_clock: bool) -> Slot:
        """The newest slot that has started.

        Raises NotDue once it is over; with `by_clock` also once the next slot is near.
        """
        session = self.session()
        slots = self.slots(session)
        slot = latest_slot(slots, self.now)
        if slot is None:
            when = f"the first is at {slots[0].label}" if slots else "slot_range lets none through"
            raise NotDue(f"no slot: it is {self.clock} in New York, {when}")
        if self.now > self.last_call(session):
            raise NotDue(f"no slot: the session of {self.today} is over")
        following = next((s for s in slots if s.at > self.now), None)
        is_near = following is not None and self.now >= following.at - MARGIN
        if self.now >= self.slot_ends(slot.at) or (by_clock and is_near):
            more = f"; the next is at {following.label}" if following else ""
            raise NotDue(f"no slot: it is {self.clock} in New York{more}")
        return slot

    def named_slot(self, label: str) -> Slot:
        """Today's slot by HH:MM.

        Raises UsageError for an unknown or a future one; NotDue without a session, and for one that
        is over: a late quote would stand for an early one.
        """
        session = self.session()
        slots = {slot.label: slot for slot in self._all_slots(session)}
        slot = slots.get(label)
        if slot is None:
            raise UsageError(f"--slot {label}: no slot of {self.today}", hint=", ".join(slots))
        if slot.at > self.now:
            raise UsageError(
                f"--slot {label} has not begun: it is {self.clock} in New York",
                hint="`--run-day` waits for each slot",
            )
        if self.now >= self.slot_ends(slot.at):
            raise NotDue(f"no slot: {label} is over, its quotes cannot be had any more")
        return slot

    def slot_before_close(self) -> Slot:
        """The slot that a setting adds, while it lasts. Raises NotDue."""
        session = self.session()
        slot = session.slot_before_close
        if slot not in self.slots(session):
            raise NotDue("no slot: ib.slot_before_close_enabled and ib.slot_range allow none")
        if not slot.at <= self.now < self.slot_ends(slot.at):
            raise NotDue(f"no slot: it is {self.clock} in New York, this one is at {slot.label}")
        return slot

    def remaining_slots(self) -> list[Slot]:
        """Today's slots whose grace is not over. Raises NotDue without one."""
        slots = [slot for slot in self.slots(self.session()) if self.now <= slot.at + self.grace]
        if not slots:
            raise NotDue(f"no slot of {self.today} is left")
        return slots

    def next_slot(self, after: datetime) -> Slot | None:
        """The first slot of that day after a time."""
        session = session_on(date_in_new_york(after))
        slots = self.slots(session) if session else []
        return next((slot for slot in slots if slot.at > after), None)

    def slot_ends(self, at: datetime) -> datetime:
        """When a slot, by its time, is over: the next one begins, or the session ended."""
        session, following = session_on(date_in_new_york(at)), self.next_slot(at)
        ends = [at + EVERY]
        if following is not None:
            ends.append(following.at)
        elif session is not None:
            ends.append(max(self.last_call(session), at + self.grace))
        return min(ends)

    def last_chance_slot(self) -> Slot | None:
        """Within five minutes of the close: the last slot before, to be completed once more."""
        session = session_on(self.today)
        if session is None or not session.close_at - LAST_CHANCE <= self.now < session.close_at:
            return None
        return latest_slot(self.slots(session), session.close_at - LAST_CHANCE)

    def discovery_session(self, *, by_clock: bool) -> Session:
        """The session whose contracts are discovered. Raises NotDue."""
        session = self.session()
        if self.now > session.close_at:
            raise NotDue(f"no discovery: the session of {self.today} is over")
        if by_clock and self.now < self.at(self.ib.pre_open_time):
            raise NotDue(f"discovery is at {self.ib.pre_open_time} in New York")
        return session

    def must_wait(self, failed_at: datetime | None) -> bool:
        """Whether discovery that failed at a time waits for the next slot."""
        if failed_at is None:
            return False
        session = self.session()
        again = next((slot.at for slot in session.slots if slot.at > failed_at), session.close_at)
        return self.now < again

    def is_midday(self) -> bool:
        """Whether midday's discovery is due."""
        return self.ib.midday_refresh_enabled and self.now >= self.at(self.ib.midday_refresh_time)

    def close_session(self, *, by_clock: bool) -> Session:
        """The session whose close is captured. Raises NotDue."""
        session = self.session()
        if self.now < self.at(self.ib.close_snapshot_time):
            raise NotDue(f"the close snapshot is at {self.ib.close_snapshot_time} in New York")
        if by_clock and self.now > self.at(self.ib.close_snapshot_until):
            raise NotDue(f"the close snapshot of {self.today} ended {self.ib.close_snapshot_until}")
        return session

    def finished_session(self) -> Session:
        """The newest session whose bars are final: two hours after its close.

        Raises NotDue before that: by then bars may be in the shares after a split of today.
        """
        session = session_on(self.today)
        if session is None:
            return session_before(self.today)
        final_at = session.close_at + BARS_ARE_FINAL
        if self.now < final_at:
            raise NotDue(
                f"the day bars of {self.today} are final at {final_at.astimezone(NEW_YORK):%H:%M} "
                "in New York; before that they may be in the shares after a split of today"
            )
        return session

    def interest_pass(self) -> InterestPass:
        """The session whose open interest is requested now. Raises NotDue.

        Until the next publication the gateway shows that of the session before today's, so what the
        morning missed can be had all day (`late`).
        """
        session, day = self.session(), session_before(self.today).trade_date
        if self.now < self.at(self.ib.enrich_time):
            raise NotDue(f"open interest is requested at {self.ib.enrich_time} in New York")
        if self.now >= session.open_at:
            return InterestPass(day, "late", session.open_at)
        confirm = self.at(self.ib.enrich_confirm_time)
        if self.now >= confirm:
            return InterestPass(day, "confirm", confirm)
        return InterestPass(day, "first", self.at(self.ib.enrich_time))

    def check_interest_day(self, day: date) -> date:
        """A day named by `--date`. Raises UsageError where its open interest cannot be had."""
        if session_on(day) is None:
            raise UsageError(f"--date {day}: no trading day")
        if day >= self.today:
            raise UsageError(
                f"--date {day}: the open interest of a session is published on the next morning"
            )
        return day


def asof_date(captured_at: datetime, published_at: str) -> date:
    """The session whose closing position the gateway shows at a time.

    It is the one before the newest session whose publication has passed.
    """
    day = date_in_new_york(captured_at)
    session = session_on(day)
    if session is None or captured_at < at_new_york(day, time.fromisoformat(published_at)):
        session = session_before(day)
    return session_before(session.trade_date).trade_date


def oldest_set(day: date) -> date:
    """The oldest session whose contracts may stand in for those of a day."""
    for _ in range(STAND_IN_SESSIONS):
        day = session_before(day).trade_date
    return day
