"""When a cause is sent: once, again when its state changes, and once when it is resolved."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from orchestration.alerts import book
from orchestration.alerts.book import Cause, Entry

NIGHT = datetime(2026, 11, 20, 18, tzinfo=UTC)
DAY = timedelta(days=1)
DOWN = Cause("load", "warn", "load of tdx failed: nobody answers", "quotemill status", state="4")


class Nights:
    """One check a night: its verdict, and what the channels accepted."""

    def __init__(self, *channels: str, repeat_after: timedelta | None = None) -> None:
        self.entries: dict[str, Entry] = {}
        self.channels, self.repeat_after, self.now = list(channels), repeat_after, NIGHT

    def check(self, cause: Cause | None, *, down: Sequence[str] = ()) -> list[str]:
        sent = []
        for message in book.update_book(
            self.entries, {"load:tdx": cause}, self.now, self.repeat_after
        ):
            for name in self.channels:
                if name not in down and name not in message.entry.channels:
                    message.entry.channels.append(name)
                    sent.append(
                        f"{name}: {'resolved' if message.is_recovery else message.entry.state}"
                    )
            if self.channels:
                message.settle(self.channels, self.now)
        self.now += DAY
        return sent


def test_an_open_cause_is_sent_once_and_its_end_once() -> None:
    nights = Nights("a")
    checks = [nights.check(x) for x in (None, DOWN, DOWN, DOWN, None, None)]
    assert checks == [[], ["a: 4"], [], [], ["a: resolved"], []]
    [entry] = nights.entries.values()
    assert (entry.count, entry.first_at, entry.last_at) == (3, NIGHT + DAY, NIGHT + 3 * DAY)
    assert nights.check(DOWN) == ["a: 4"]  # it is back
    assert nights.entries["load:tdx"].count == 1


def test_another_exit_code_is_sent_again() -> None:
    nights = Nights("a")
    partial = Cause("load", "warn", "3 of 9 keys failed", "quotemill status", state="6")
    assert [nights.check(x) for x in (DOWN, partial, partial)] == [["a: 4"], ["a: 6"], []]
    assert nights.entries["load:tdx"].message == "3 of 9 keys failed"


def test_a_further_subject_is_sent_until_it_was_not_found_for_a_week() -> None:
    def failed(*symbols: str) -> Cause:
        return Cause("load", "warn", "slot failed", state="6", subjects=symbols)

    nights = Nights("a")
    assert nights.check(failed("AA", "BRK B")) == ["a: 6; AA 2026-11-20, BRK B 2026-11-20"]
    assert nights.check(failed("AA")) == []
    assert nights.check(failed("AA", "CC"))[0].startswith("a: 6; AA 2026-11-22, BRK B 2026-11-20")
    assert nights.entries["load:tdx"].message == "slot failed, also CC"
    assert [nights.check(failed("AA")) for _ in range(4)] == [[], [], [], []]
    assert nights.check(failed("AA", "BRK B")) == []  # a week later
    assert [nights.check(failed("AA")) for _ in range(4)] == [[], [], [], []]
    assert nights.check(failed("AA", "CC")) != []  # ten days later
    assert nights.check(None) == ["a: resolved"]


def test_a_state_that_reads_like_subjects_is_sent_once() -> None:
    nights = Nights("a")
    wrong = Cause("schedule", "fail", "no such day", state="when; use 2026-11-20")
    assert [nights.check(wrong), nights.check(wrong)] == [["a: when; use 2026-11-20"], []]


def test_a_channel_that_was_down_is_sent_it_later_the_other_not_twice() -> None:
    nights = Nights("a", "b")
    assert nights.check(DOWN, down=["b"]) == ["a: 4"]
    assert nights.check(DOWN, down=["b"]) == []
    assert nights.entries["load:tdx"].told_at is None
    assert nights.check(DOWN) == ["b: 4"]
    assert nights.check(DOWN) == []
    assert nights.check(None, down=["a"]) == ["b: resolved"]
    assert nights.check(None) == ["a: resolved"]
    assert nights.check(None) == []


def test_a_channel_that_never_got_the_problem_is_not_sent_its_end() -> None:
    nights = Nights("a")
    assert nights.check(DOWN, down=["a"]) == []
    assert [nights.check(None), nights.check(None)] == [[], []]


def test_without_a_channel_it_waits_for_the_first_channel() -> None:
    nights = Nights()
    assert nights.check(DOWN) == []
    nights.channels = ["a"]
    assert nights.check(DOWN) == ["a: 4"]


@pytest.mark.parametrize(("hours", "sent"), [(None, 1), (48, 2), (24, 4)])
def test_it_is_repeated_where_the_settings_say_so(hours: int | None, sent: int) -> None:
    nights = Nights("a", repeat_after=timedelta(hours=hours) if hours else None)
    assert sum(len(nights.check(DOWN)) for _ in range(4)) == sent


def test_an_end_is_sent_while_a_repetition_waits_for_its_channel() -> None:
    nights = Nights("a", repeat_after=DAY)
    checks = [nights.check(DOWN), nights.check(DOWN, down=["a"]), nights.check(None)]
    assert checks == [["a: 4"], [], ["a: resolved"]]


def test_a_cause_with_patience_is_sent_when_it_is_found_again() -> None:
    nights = Nights("a")
    held = Cause("lock", "warn", "another one is at work", state="75", patience=2)
    assert [nights.check(x) for x in (held, None, held, held, held)] == [[], [], [], ["a: 75"], []]


def test_an_unchecked_cause_stays_and_is_sent_by_the_next_check() -> None:
    nights = Nights("a")
    nights.check(DOWN, down=["a"])
    [message] = book.update_book(nights.entries, {}, NIGHT, None)
    assert message.entry.cause == "load:tdx"
    assert nights.entries["load:tdx"].is_open


def test_a_message_says_since_when_and_which_command_shows_more() -> None:
    entries: dict[str, Entry] = {}
    for day in range(2):
        [message, *_] = book.update_book(entries, {"load:tdx": DOWN}, NIGHT + day * DAY, None)
    assert message.text() == (
        "load of tdx failed: nobody answers\nSince 2026-11-20 18:00 UTC, seen 2 times.\n"
        "fix: quotemill status"
    )
