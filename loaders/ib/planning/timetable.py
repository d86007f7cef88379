"""A time in New York: the slots of its session, which is under way, and when each is over.

    04:00  open interest of the session before; 07:30 once more; later what the morning missed
    09:25  contracts of the session
    09:30 … 16:00  slots; by a setting also 15:45
    17:00  the close

Decisions about time alone; what each task makes of it, and of the warehouse, is in planning.due.
"""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from loaders.ib.settings import IbSettings
from loaders.ib.slots import (
    EVERY,
    GRACE,
    NEW_YORK,
    Session,
    Slot,
    at_new_york,
    date_in_new_york,
    latest_slot,
    parse_session_day,
    require_session,
    session_before,
    session_on,
    within,
)
from quotemill.errors import NotDue, UsageError

BARS_ARE_FINAL = timedelta(hours=2)  # after the close
# before the next slot a capture begins no batch: one that is under way ends, and the lane is free
MARGIN = timedelta(minutes=2)


@dataclass(frozen=True)
class Timetable:
    """A time (UTC), and the settings that say what it is for."""

    ib: IbSettings
    now: datetime

    @property
    def today(self) -> date:
        return date_in_new_york(self.now)

    @property
    def clock(self) -> str:
        """HH:MM in New York."""
        return f"{self.now.astimezone(NEW_YORK):%H:%M}"

    def at(self, clock: str) -> datetime:
        """A wall clock of New York, today."""
        return at_new_york(self.today, time.fromisoformat(clock))

    def session(self) -> Session:
        """Today's session. Raises NotDue on a day without one."""
        return require_session(parse_session_day("today", self.today))

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
                "in New York. Until then they may already include today's splits"
            )
        return session

    def slots(self, session: Session) -> list[Slot]:
        """The slots of a session within `slot_range`."""
        return within(self._all_slots(session), self.ib.slots)

    def _all_slots(self, session: Session) -> list[Slot]:
        further = [session.slot_before_close] if self.ib.slot_before_close_enabled else []
        return sorted([*session.slots, *further], key=lambda slot: slot.at)

    def current_slot(self, *, by_clock: bool) -> Slot:
        """The newest slot that has started.

        Raises NotDue once it is over; with `by_clock` also once the next slot is near.
        """
        session = self.session()
        slots = self.slots(session)
        slot = latest_slot(slots, self.now)
        if slot is None:
            when = f"the first is at {slots[0].label}" if slots else "slot_range allows none"
            raise NotDue(f"no slot: it is {self.clock} in New York, {when}")
        if self.now > session.close_at + GRACE:
            raise NotDue(f"no slot: the session of {self.today} has ended")
        following = self.next_slot(self.now)
        is_near = by_clock and following is not None and self.now >= following.at - MARGIN
        if self.is_over(slot.at) or is_near:
            more = f", the next one is at {following.label}" if following else ""
            raise NotDue(f"no slot: it is {self.clock} in New York{more}")
        return slot

    def named_slot(self, label: str) -> Slot:
        """Today's slot by HH:MM.

        Raises NotDue without a session; UsageError for an unknown or a future one, and for one that
        is over: a late quote would stand for an early one.
        """
        slots = {slot.label: slot for slot in self._all_slots(self.session())}
        slot = slots.get(label)
        if slot is None:
            raise UsageError(
                f"not a slot of {self.today}: --slot {label}",
                hint=f"Choose one of: {', '.join(slots)}.",
            )
        if slot.at > self.now:
            raise UsageError(
                f"--slot {label} has not begun: it is {self.clock} in New York",
                hint="Use --run-day to capture each remaining slot.",
            )
        if self.is_over(slot.at):
            raise UsageError(
                f"--slot {label} has ended, and its quotes are no longer available",
                hint="Use --slot now for the slot in progress, or --run-day for each "
                "remaining one.",
            )
        return slot

    def slot_before_close(self) -> Slot:
        """The slot that a setting adds, while it lasts. Raises NotDue."""
        session = self.session()
        slot = session.slot_before_close
        if slot not in self.slots(session):
            raise NotDue("no slot: ib.slot_before_close_enabled and ib.slot_range allow none")
        if slot.at > self.now or self.is_over(slot.at):
            raise NotDue(
                f"no slot: it is {self.clock} in New York, and this one is at {slot.label}"
            )
        return slot

    def remaining_slots(self) -> list[Slot]:
        """Today's slots whose grace is not over. Raises NotDue without one."""
        slots = [slot for slot in self.slots(self.session()) if self.now <= slot.at + GRACE]
        if not slots:
            raise NotDue(f"no slots left on {self.today}")
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
            ends.append(max(session.close_at, at) + GRACE)
        return min(ends)

    def is_over(self, at: datetime) -> bool:
        """Whether a slot, by its time, is over."""
        return self.now >= self.slot_ends(at)
