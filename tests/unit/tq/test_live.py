"""Recorded ticks: merged, holes named; how long a recorder records, and what is silent."""

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from loaders.tq.live.recorded import (
    Hole,
    compare_ticks,
    delete_files,
    delete_old,
    describe_holes,
    find_holes,
    merge_ticks,
    read_recorded,
)
from loaders.tq.live.recorder import Clock, Recorder
from loaders.tq.live.silence import Silence
from loaders.tq.live.stretch import Stretch, find_end, find_stretch
from quotemill.errors import UpstreamError

CONTRACT = "SHFE.cu2601"
MIDNIGHT = datetime(2025, 10, 22, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def ticks(first: int, last: int, *, later: int = 0, price: float = 1.0) -> pa.Table:
    ids = list(range(first, last + 1))
    stamps = [n * 10 + later for n in ids]
    return pa.table({"id": ids, "datetime_ns": stamps, "last_price": [price] * len(ids)})


def record(folder: Path, first: int, last: int) -> Path:
    file = folder / CONTRACT / f"{first:012}.parquet"
    file.parent.mkdir(exist_ok=True)
    pq.write_table(ticks(first, last), file)
    return file


def recorded(folder: Path) -> pa.Table:
    table = read_recorded(folder, CONTRACT)
    assert table is not None
    return table


def test_recorded_and_newest_ticks_are_each_once_and_in_order(tmp_path: Path) -> None:
    assert read_recorded(tmp_path, CONTRACT) is None
    record(tmp_path, 1, 5)
    record(tmp_path, 4, 9)  # a recorder that was started again begins with the newest ones
    merged = merge_ticks(recorded(tmp_path), ticks(8, 12))
    assert (merged.shared, merged.differing) == (2, 0)
    assert merged.ticks.equals(ticks(1, 12))
    assert find_holes(merged.ticks) == []


def test_the_servers_ticks_replace_recorded_ones_and_differences_count() -> None:
    corrected = merge_ticks(ticks(1, 9), ticks(8, 12, price=2.0))
    assert (corrected.shared, corrected.differing) == (2, 2)
    assert corrected.ticks["last_price"].to_pylist() == [1.0] * 7 + [2.0] * 5
    assert compare_ticks(ticks(1, 9), ticks(20, 22)) == (0, 0)
    # with other numbers by now nothing can be merged
    moved = merge_ticks(ticks(1, 9), ticks(5, 12, later=500))
    assert (moved.differing, moved.ticks.equals(ticks(5, 12, later=500))) == (5, True)


def test_what_passed_while_nothing_recorded_is_named(tmp_path: Path) -> None:
    record(tmp_path, 1, 5)
    damaged = record(tmp_path, 6, 7)
    damaged.write_bytes(b"half a file")
    merged = merge_ticks(recorded(tmp_path), ticks(10, 12))
    assert find_holes(merged.ticks) == [Hole(50, 100, 4)]


def at(hour: float) -> int:
    return int((MIDNIGHT + timedelta(hours=hour)).timestamp() * 10**9)


def test_only_holes_within_the_trading_day_count() -> None:
    opening, close = at(1), at(7)  # 09:00 to 15:00 in Shanghai
    outside = [Hole(at(-3), at(1), 9), Hole(at(7) - 10**9, at(14))]
    assert describe_holes(outside, opening, close) is None
    text = describe_holes([Hole(at(2), at(2.5), 1200), Hole(at(6), at(8), 34)], opening, close)
    times = ["10:00:00", "10:30:00", "14:00:00", "15:00:00"]
    assert re.findall(r"\d[\d:,]*\d", str(text)) == ["1,234", *times]
    begun = describe_holes([Hole(0, at(2))], opening, close)
    assert str(begun).endswith(", from 09:00:00 to 10:00:00")
    many = [Hole(at(n), at(n + 0.5), 1) for n in range(1, 7)]
    assert re.search(r"11:30:00 and at 3 ", str(describe_holes(many, opening, close)))


def test_files_of_landed_days_are_deleted_but_the_newest(tmp_path: Path) -> None:
    files = [record(tmp_path, 1, 5), record(tmp_path, 4, 9), record(tmp_path, 10, 12)]
    delete_files(tmp_path, lambda contract, newest: (contract, newest) == (CONTRACT, 120))
    assert [file.exists() for file in files] == [False, True, True]
    delete_files(tmp_path / "none", lambda *_: False)


def test_old_files_are_deleted_and_those_that_reach_a_kept_day_stay(tmp_path: Path) -> None:
    old, newer = record(tmp_path, 1, 5), record(tmp_path, 4, 9)
    half = old.with_suffix(".new")
    half.write_bytes(b"half a file")
    delete_old(tmp_path, before=60)
    assert (old.exists(), newer.exists(), half.exists()) == (False, True, False)
    delete_old(tmp_path, before=1000)
    assert list(tmp_path.iterdir()) == []


def hours(*spans: tuple[float, float]) -> Sequence[tuple[datetime, datetime]]:
    return [(MIDNIGHT + timedelta(hours=a), MIDNIGHT + timedelta(hours=b)) for a, b in spans]


def test_a_recorder_records_to_the_end_of_the_day_or_of_the_night() -> None:
    # UTC: the day, its night, the next day
    sessions = hours((1, 2.25), (2.5, 3.5), (5.5, 7), (13, 17), (25, 26))

    def end(hour: float) -> float | None:
        ends = find_end(MIDNIGHT + timedelta(hours=hour), sessions)
        return ends and (ends - MIDNIGHT) / timedelta(hours=1)

    assert (end(0.5), end(4), end(12.5), end(16)) == (7, 7, 17, 17)
    assert (end(-1), end(8), end(30)) == (None, None, None)


def test_a_variety_without_a_night_rests_until_the_day() -> None:
    copper, stocks = hours((13, 17), (25, 30)), hours((25.5, 31))
    day = date(2025, 10, 23)
    night = find_stretch(MIDNIGHT + timedelta(hours=12.9), day, {"cu": copper, "IF": stocks})
    assert night is not None
    assert (night.hours, night.resting) == ({"cu": copper}, ["IF"])
    assert night.end == copper[0][1]
    # no night before a holiday, and none of stocks
    assert find_stretch(MIDNIGHT + timedelta(hours=12.9), day, {"IF": stocks}) is None


class Live:
    """A load and its servers: the recorder is at each of the times with the newest stamps."""

    def __init__(self, *items: tuple[datetime, dict[str, datetime]]) -> None:
        self.warnings, self.lines = list[str](), list[str]()
        self._items, self._now = items, MIDNIGHT
        self.harvest = self.load = self.reporter = self
        self.settings, self.as_of = SimpleNamespace(silence=600), None
        self.days = [date(2025, 10, 21), date(2025, 10, 22)]
        self.warn, self.line = self.warnings.append, self.lines.append

    def clock(self) -> datetime:
        return self._now

    def live(self, *_: object, **__: object) -> Iterator[dict[str, tuple[str, datetime]]]:
        for now, stamps in self._items:
            self._now = now
            yield {name: (name, stamp) for name, stamp in stamps.items()}

    def record(self, folder: Path) -> None:
        stretch = Stretch(date(2025, 10, 22), CLOSE, {n: hours((1, 7)) for n in ("a", "b")}, [])
        Recorder(cast("Any", self), folder, stretch).record()


OPEN, CLOSE = MIDNIGHT + timedelta(hours=1), MIDNIGHT + timedelta(hours=7)


def test_a_machine_that_slept_to_the_close_is_no_success(tmp_path: Path) -> None:
    begun = {"a": OPEN, "b": OPEN}
    woken = (CLOSE + 2 * MINUTE, begun)
    with pytest.raises(UpstreamError, match=r" a .* 09:00:00$"):
        Live((OPEN, begun), woken).record(tmp_path)
    partly = Live((OPEN, begun), (CLOSE + MINUTE, {"a": OPEN, "b": CLOSE}))
    partly.record(tmp_path)
    [silent] = partly.warnings
    assert re.search(" a .* 09:00:00$", silent)
    # one that was named as silent is not named again, nor does its close make it tick
    late = CLOSE - MINUTE
    thin = Live(
        (OPEN, begun), (late, {"a": OPEN, "b": late}), (CLOSE + MINUTE, {"a": OPEN, "b": CLOSE})
    )
    thin.record(tmp_path)
    assert [text.partition(": ")[0] for text in thin.warnings] == ["a"]
    assert [line for line in thin.lines if "again" in line] == []


def test_a_clock_that_is_off_is_a_warning(tmp_path: Path) -> None:
    stamps = [OPEN + n * MINUTE for n in range(3)]
    half = timedelta(minutes=30)
    items = [(stamp + half, {"a": stamp, "b": stamp}) for stamp in (*stamps, CLOSE)]
    ahead = Live(*items)
    ahead.record(tmp_path)
    [warning] = ahead.warnings
    assert re.search("clock .* 30 minutes", warning)


def test_the_ticks_of_other_days_are_not_counted(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    opening, hour = at(1), 3600 * 10**9
    stamps = [opening - 24 * hour, opening - 23 * hour, opening, opening + hour]
    pq.write_table(pa.table({"id": [1, 2, 3, 4], "datetime_ns": stamps}), tmp_path / "a/1.parquet")
    live = Live((OPEN, {"a": OPEN, "b": OPEN}), (CLOSE + MINUTE, {"a": CLOSE, "b": CLOSE}))
    live.record(tmp_path)
    assert re.search("2025-10-22 .* 15:00:00: 2 .* a$", live.lines[-1])


def test_silence_counts_within_sessions_only() -> None:
    opens = MIDNIGHT + timedelta(hours=1)
    silence = Silence({"a": hours((1, 2), (3, 4)), "b": hours((1, 4))}, 10 * MINUTE)
    silence.note({"a": opens - MINUTE, "b": opens - MINUTE}, opens - 20 * MINUTE)
    assert silence.find_silent(opens - MINUTE) == {}
    assert silence.find_silent(opens + 9 * MINUTE) == {}
    silence.note({"a": opens, "b": opens + 9 * MINUTE}, opens + 9 * MINUTE)
    silence.note({"a": opens, "b": opens + 15 * MINUTE}, opens + 20 * MINUTE)
    assert silence.find_silent(opens + 20 * MINUTE) == {"a": opens + 9 * MINUTE}
    # the break ends its silence
    noon, after = opens + 90 * MINUTE, opens + 125 * MINUTE
    silence.note({"a": opens, "b": noon}, noon)
    assert (silence.list_open(noon), silence.find_silent(noon)) == (["b"], {})
    assert silence.find_silent(after) == {"b": noon}
    assert silence.find_silent(after + 5 * MINUTE) == {"a": opens + 120 * MINUTE, "b": noon}
    # a new client does not watch it any more
    silence.note({"a": opens}, after)
    assert silence.find_silent(after + 5 * MINUTE) == {"a": opens + 120 * MINUTE}


def test_ticks_that_ended_before_the_close_are_seen_after_it() -> None:
    closes = MIDNIGHT + timedelta(hours=4)
    both = {"a": hours((1, 2), (3, 4)), "b": hours((1, 4), (5, 6)), "c": hours((3, 4))}
    silence = Silence(both, 10 * MINUTE)
    last = {"a": closes - 10 * MINUTE, "b": closes - 9 * MINUTE, "c": None}
    silence.note(last, closes - 9 * MINUTE)
    # nobody looked from then on: the session is over
    after = closes + 5 * MINUTE
    silence.note(last, after)
    assert silence.find_silent(after) == {}
    cut_off = {"a": closes - 10 * MINUTE, "c": closes - 60 * MINUTE}
    assert silence.find_cut_off(closes) == cut_off
    assert silence.find_cut_off(closes + 120 * MINUTE) == {**cut_off, "b": closes + 60 * MINUTE}
    assert silence.find_cut_off(MIDNIGHT) == {}


def test_a_clock_that_is_off_shows_by_a_tick_that_has_just_come() -> None:
    ahead = Clock(lambda: MIDNIGHT, None)
    old, new = MIDNIGHT - 70 * MINUTE, MIDNIGHT - 60 * MINUTE
    assert ahead.find_offset({"a": old}, MIDNIGHT) is None  # it may be old
    assert ahead.find_offset({"a": old, "b": None}, MIDNIGHT) is None
    assert ahead.find_offset({"a": new}, MIDNIGHT) == 60 * MINUTE
    assert ahead.find_offset({"a": MIDNIGHT}, MIDNIGHT + MINUTE) is None
    assert ahead.find_offset({"a": MIDNIGHT + MINUTE}, MIDNIGHT - MINUTE) == -2 * MINUTE
    given = Clock(lambda: MIDNIGHT, MIDNIGHT)
    assert [given.find_offset({"a": stamp}, MIDNIGHT) for stamp in (old, new)] == [None, None]


def test_a_given_clock_starts_there_and_follows_the_ticks() -> None:
    clock = Clock(lambda: MIDNIGHT, None)
    assert clock.read_time({"a": MIDNIGHT + MINUTE}) == MIDNIGHT
    given = Clock(lambda: MIDNIGHT, MIDNIGHT)
    assert MIDNIGHT <= given.read_time({"a": None}) < MIDNIGHT + MINUTE
    later = given.read_time({"a": MIDNIGHT + 5 * MINUTE, "b": MIDNIGHT})
    assert MIDNIGHT + 5 * MINUTE <= later < MIDNIGHT + 6 * MINUTE
    assert later <= given.read_time({"a": MIDNIGHT + 5 * MINUTE}) < MIDNIGHT + 6 * MINUTE
