"""What is told of a cause, and when: once, anew where it is another matter, and once that it is over."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from orchestration.alerts import book
from orchestration.alerts.book import Cause, Entry

NIGHT = datetime(2026, 11, 20, 18, tzinfo=UTC)
DAY = timedelta(days=1)
DOWN = Cause("error", "load of tdx failed: nobody answers", "quotemill status", "4")


class Nights:
    """Night after night, a look with what it found; what the channels took of it."""

    def __init__(self, *channels: str, repeat_after: timedelta | None = None) -> None:
        self.entries: dict[str, Entry] = {}
        self.channels, self.repeat_after, self.now = list(channels), repeat_after, NIGHT

    def look(self, cause: Cause | None, *, down: Sequence[str] = ()) -> list[str]:
        told = []
        for message in book.judge(self.entries, {"load:tdx": cause}, self.now, self.repeat_after):
            for name in self.channels:
                if name not in down and name not in message.entry.channels:
                    message.entry.channels.append(name)
                    told.append(f"{name}: {'over' if message.is_recovery else message.entry.state}")
            if self.channels:
                message.settle(self.channels, self.now)
        self.now += DAY
        return told


def test_what_goes_on_is_told_once_and_its_end_once() -> None:
    nights = Nights("a")
    assert [nights.look(x) for x in (None, DOWN, DOWN, DOWN, None, None)] == [
        *([], ["a: 4"], [], [], ["a: over"], [])
    ]
    [entry] = nights.entries.values()
    assert (entry.count, entry.first_at, entry.last_at) == (3, NIGHT + DAY, NIGHT + 3 * DAY)
    assert nights.look(DOWN) == ["a: 4"]  # it is back
    assert nights.entries["load:tdx"].count == 1


def test_another_exit_code_is_told_anew() -> None:
    nights = Nights("a")
    partial = Cause("error", "3 of 9 keys failed", "quotemill status", "6")
    assert [nights.look(x) for x in (DOWN, partial, partial)] == [["a: 4"], ["a: 6"], []]
    assert nights.entries["load:tdx"].message == "3 of 9 keys failed"


def test_a_channel_that_was_down_is_told_later_and_the_other_not_twice() -> None:
    nights = Nights("a", "b")
    assert nights.look(DOWN, down=["b"]) == ["a: 4"]
    assert nights.look(DOWN, down=["b"]) == []
    assert nights.entries["load:tdx"].told_at is None
    assert nights.look(DOWN) == ["b: 4"]
    assert nights.look(DOWN) == []
    assert nights.look(None, down=["a"]) == ["b: over"]
    assert nights.look(None) == ["a: over"]
    assert nights.look(None) == []


def test_who_never_heard_that_it_began_is_not_told_that_it_is_over() -> None:
    nights = Nights("a")
    assert nights.look(DOWN, down=["a"]) == []
    assert [nights.look(None), nights.look(None)] == [[], []]


def test_without_a_channel_it_is_kept_for_the_first_one_that_there_is() -> None:
    nights = Nights()
    assert nights.look(DOWN) == []
    nights.channels = ["a"]
    assert nights.look(DOWN) == ["a: 4"]


@pytest.mark.parametrize(("hours", "told"), [(None, 1), (48, 2), (24, 4)])
def test_it_is_repeated_where_the_settings_say_so(hours: int | None, told: int) -> None:
    nights = Nights("a", repeat_after=timedelta(hours=hours) if hours else None)
    assert sum(len(nights.look(DOWN)) for _ in range(4)) == told


def test_an_end_is_told_while_a_repetition_waits_for_its_channel() -> None:
    nights = Nights("a", repeat_after=DAY)
    assert [nights.look(DOWN), nights.look(DOWN, down=["a"]), nights.look(None)] == [
        *(["a: 4"], [], ["a: over"])
    ]


def test_a_cause_with_patience_is_told_when_it_is_found_again() -> None:
    nights = Nights("a")
    held = Cause("warning", "another one is at work", "loaders status", "75", patience=2)
    assert [nights.look(x) for x in (held, None, held, held, held)] == [[], [], [], ["a: 75"], []]


def test_a_cause_that_nobody_looked_at_stays_as_it_is_and_is_told_by_the_next_look() -> None:
    nights = Nights("a")
    nights.look(DOWN, down=["a"])
    [message] = book.judge(nights.entries, {}, NIGHT, None)
    assert message.entry.cause == "load:tdx"
    assert nights.entries["load:tdx"].is_open


def test_a_message_has_since_when_and_the_command_that_shows_more() -> None:
    entries: dict[str, Entry] = {}
    for day in range(2):
        [message, *_] = book.judge(entries, {"load:tdx": DOWN}, NIGHT + day * DAY, None)
    assert message.text() == (
        "load of tdx failed: nobody answers\nSince 2026-11-20 18:00 UTC, found 2 times.\n"
        "More: quotemill status"
    )
