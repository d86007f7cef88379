"""Two sessions' answers for a day: which one is taken, and what of them is left on disk."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from loaders.errors import UpstreamError
from loaders.ticks.frame import DayKey
from loaders.ticks.store import EmptyStatus, IndexRow, NoDataRow
from loaders.tq.client.answers import DayRange, TickAnswer
from loaders.tq.context import Context
from loaders.tq.datasets import ticks
from loaders.tq.settings import TqSettings
from loaders.tq.tick_days.backlog import Scheduled
from loaders.tq.tick_days.ledgers import Ledgers
from loaders.tq.tick_days.unimproved_days import kept

DAY = date(2025, 10, 15)
SCHEDULED = Scheduled(
    *("SHFE.cu", "KQ.m@SHFE.cu", DAY, "SHFE.cu2511", 1, None, False, "hash 1", "backtest")
)
TRADED = 1000
NOW = datetime(2025, 11, 20, tzinfo=UTC)


def answer(folder: Path, *volumes: float, seen: bool = True) -> TickAnswer:
    folder.mkdir(exist_ok=True)
    path = folder / "ticks-1.parquet" if volumes else None
    if path:
        pq.write_table(pa.table({"volume": pa.array(volumes, pa.float64())}), path)
    return TickAnswer(DAY, path, len(volumes), seen)


def asked_again(
    folder: Path,
    first: TickAnswer,
    second: TickAnswer | Exception,
    known: NoDataRow | None = None,
    warn: Callable[[str], object] = str,
) -> TickAnswer:
    """`known`: what is on record of the day since nothing came of it."""

    class Session:
        def ticks(self, contract: str, ranges: Sequence[DayRange]) -> Iterator[TickAnswer]:
            if isinstance(second, Exception):
                raise second
            yield second

    @contextmanager
    def another() -> Iterator[Session]:
        yield Session()
        if isinstance(second, TickAnswer) and second.path is not None:
            second.path.unlink(missing_ok=True)  # a harvest takes its folder away

    kept = folder / "kept"
    kept.mkdir()
    run: Any = SimpleNamespace(
        another=another,
        kept=kept,
        days=[DAY - timedelta(1), DAY],
        ask=lambda _: TRADED,
        ledgers=SimpleNamespace(without=lambda _: known),
        settings=TqSettings(),
        load=SimpleNamespace(clock=lambda: NOW, warn=warn),
    )
    return ticks._asked_again(run, SCHEDULED, first)


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("first", "second", "taken"),
    [
        ((300, 900), (300, 600), (300, 900)),
        ((300, 600), (300, 900), (300, 900)),
        ((900,), (300, 900), (300, 900)),
        ((300, 900), (900,), (300, 900)),
        ((), (300, 900), (300, 900)),
        ((), (), ()),
    ],
)
def test_the_better_answer_is_taken_and_the_other_one_deleted(
    tmp_path: Path, first: tuple[float, ...], second: tuple[float, ...], taken: tuple[float, ...]
) -> None:
    found = asked_again(
        tmp_path, answer(tmp_path / "first", *first), answer(tmp_path / "second", *second)
    )
    assert found.rows == len(taken)
    assert files(tmp_path) == ([found.path] if taken else [])
    if found.path:
        assert pq.read_table(found.path)["volume"].to_pylist() == list(taken)


class Counted(dict[DayKey, dict[str, str]]):
    """Copies of an index that count how often they are gone through."""

    walks = 0

    def __iter__(self) -> Iterator[DayKey]:
        self.walks += 1
        return super().__iter__()

    def items(self) -> Any:
        self.walks += 1
        return super().items()


def test_a_day_that_lands_takes_out_what_others_hold_of_it_without_a_look_at_every_day() -> None:
    series, days = SCHEDULED.symbol, [DAY + timedelta(n) for n in range(30)]
    copies = Counted(
        {DayKey(series, "SHFE.cu2510", day): {"status": "complete"} for day in days[:2]}
        | {DayKey(series, "SHFE.cu2509", days[2]): {"status": "superseded"}}
        | {DayKey(series, SCHEDULED.contract, day): {"status": "complete"} for day in days[3:]}
    )
    gone: list[tuple[Any, ...]] = []
    load: Any = SimpleNamespace(
        settings=SimpleNamespace(tq=TqSettings()),
        clock=lambda: datetime(2025, 11, 20, tzinfo=UTC),
        warehouse=SimpleNamespace(ask=lambda _: DAY),
    )
    nobody: Any = None
    store: Any = SimpleNamespace(
        supersede=lambda *key: gone.append(key),
        index=lambda _: list[IndexRow](),
        no_data=lambda _: list[NoDataRow](),
    )
    run = Context(load, nobody, nobody, Path(), store=store, copies=copies)
    for day in days:
        ticks._unlisted(run, SCHEDULED._replace(trading_day=day))
    assert gone == [(series, "SHFE.cu2510", day) for day in days[:2]]
    assert copies.walks == 1


def test_ticks_of_one_session_alone_are_no_day_without_data(tmp_path: Path) -> None:
    with pytest.raises(UpstreamError, match="one session had ticks of the day, another none"):
        asked_again(tmp_path, answer(tmp_path / "first", 300), answer(tmp_path / "second"))
    assert files(tmp_path) == []


@pytest.mark.parametrize(
    ("waited", "nights", "status", "lands"),
    [(30, 4, "doubtful", True), (29, 4, "doubtful", False), (30, 3, "doubtful", False), (1, 4, "no_data", True)],
)  # fmt: skip
def test_ticks_of_one_session_alone_are_taken_before_the_day_is_given_up(
    tmp_path: Path, waited: int, nights: int, status: EmptyStatus, lands: bool
) -> None:
    since = NOW - timedelta(waited)
    known = NoDataRow(*SCHEDULED.key, "none", nights, since, since, status, nights)
    first, second, said = answer(tmp_path / "first", 300), answer(tmp_path / "second"), list[str]()
    if lands:
        assert asked_again(tmp_path, first, second, known, said.append) == first
        assert files(tmp_path) == [first.path]
        assert ["one session had ticks of the day, another none" in text for text in said] == [True]
    else:
        with pytest.raises(UpstreamError, match="another none"):
            asked_again(tmp_path, first, second, known, said.append)


def test_a_session_that_breaks_off_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(UpstreamError, match="away"):
        asked_again(tmp_path, answer(tmp_path / "first", 300), UpstreamError("away"))
    assert files(tmp_path) == []


def test_other_days_count_as_seen_only_where_both_sessions_saw_them(tmp_path: Path) -> None:
    first, second = answer(tmp_path / "1"), answer(tmp_path / "2", seen=False)
    assert not asked_again(tmp_path, first, second).more_days_had_rows


@pytest.mark.parametrize(
    ("route", "told"),
    [(ticks.HISTORY, "the best of two sessions"), (ticks.NEWEST, "of the newest 8,000 ticks")],
)
def test_a_short_day_that_lands_is_said_to_be_so_by_what_was_really_asked(
    route: str, told: str
) -> None:
    said: list[str] = []
    run: Any = SimpleNamespace(
        load=SimpleNamespace(warn=said.append),
        days=[DAY],
        ask=lambda work: TRADED if "volume" in work.__code__.co_names else {},
    )
    few = pa.table({"volume": [300.0], "datetime_ns": [0]})
    ticks._look(run, SCHEDULED, few, route)
    [text] = said
    assert f", {told}: landed as it is" in text


@pytest.mark.parametrize(
    ("came", "stays"), [(None, True), ((300, 899), True), ((900,), True), ((300, 900), False)]
)
def test_of_a_corrected_day_bar_the_fuller_ticks_stay(
    came: tuple[int, ...] | None, stays: bool
) -> None:
    now = datetime(2025, 10, 22, tzinfo=UTC)
    row = IndexRow(
        *SCHEDULED.key,
        *(1, "hash 1", 2, now, now, 1, 2, "hash", 5),
        run_id="1",
        updated_at=now,
        volume=900,
        day_volume=900,
    )
    put: list[IndexRow] = []
    store: Any = SimpleNamespace(
        index=lambda _: [row], put_index=put.extend, no_data=lambda _: list[NoDataRow]()
    )
    run: Any = SimpleNamespace(
        load=SimpleNamespace(clock=lambda: now, warn=lambda _: None),
        ledgers=Ledgers(store, ()),
        outdated={SCHEDULED.key},
        copies={SCHEDULED.key: {"row_hash": row.row_hash, "source_route": ticks.NEWEST_ROUTE}},
        ask=lambda _: TRADED,
    )
    answer = None if came is None else pa.table({"volume": pa.array(came, pa.float64())})
    found = kept(run, SCHEDULED, answer, ticks.HISTORY)
    assert (found is not None) == stays
    assert put == ([replace(row, day_volume=TRADED)] if stays else [])
    assert run.copies[SCHEDULED.key]["source_route"] == ticks.NEWEST_ROUTE
    run.outdated = set()
    assert kept(run, SCHEDULED, answer, ticks.HISTORY) is None
