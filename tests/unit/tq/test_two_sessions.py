"""Two sessions' answers for a day: which one is taken, and what stays on disk."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from loaders.engine.request import LoadRequest
from loaders.errors import UpstreamError
from loaders.ticks.frame import DayKey
from loaders.ticks.store import EmptyStatus, NoDataRow
from loaders.tq.client.answer_files import AnswerFiles
from loaders.tq.client.answers import DayRange, TickAnswer
from loaders.tq.datasets import ticks
from loaders.tq.tick_days import batch
from loaders.tq.tick_days.ledger import LedgerRow
from loaders.tq.tick_days.replacement import find_loss
from tests.unit.tq.loads import SERIES, Store, context, ledger_row, scheduled

DAY = date(2025, 10, 15)
SCHEDULED = scheduled(DAY)
TRADED = 1000
NOW = datetime(2025, 11, 20, tzinfo=UTC)


def answer(folder: Path, *volumes: float, more_rows: bool = True) -> TickAnswer:
    folder.mkdir(exist_ok=True)
    path = folder / "ticks-1.parquet" if volumes else None
    if path:
        stamps = pa.array([int(volume) for volume in volumes], pa.int64())
        pq.write_table(
            pa.table({"datetime_ns": stamps, "volume": pa.array(volumes, pa.float64())}), path
        )
    return TickAnswer(DAY, path, len(volumes), more_rows)


def ask_again(
    folder: Path,
    first: TickAnswer,
    second: TickAnswer | Exception,
    record: NoDataRow | None = None,
    said: list[str] | None = None,
) -> TickAnswer:
    """`record`: the record of the day as one without ticks."""

    class Session:
        def ticks(self, contract: str, ranges: Sequence[DayRange]) -> Iterator[TickAnswer]:
            if isinstance(second, Exception):
                raise second
            yield second

    @contextmanager
    def new_harvest() -> Iterator[Session]:
        yield Session()
        if isinstance(second, TickAnswer) and second.path is not None:
            second.path.unlink(missing_ok=True)  # a harvest deletes its folder

    store = Store()
    store.put_no_data([record] if record else [])
    (folder / "files").mkdir()
    ctx = context(
        store=store,
        now=NOW,
        answer=TRADED,
        said=said,
        folder=folder / "files",
        answers=AnswerFiles(folder / "answers"),
        new_harvest=new_harvest,
        days=[DAY - timedelta(1), DAY],
    )
    return ticks.ask_again(ctx, SCHEDULED, first)


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("first", "second", "taken"),
    [
        ((300, 900), (300, 600), (300, 900)),
        ((300, 600), (300, 900), (300, 900)),
        ((900,), (300, 900), (300, 900)),
        ((300, 900), (900,), (300, 900)),
        # the last ticks of a day alone have all its lots
        ((1, 300, 900), (1000,), (1, 300, 900)),
        ((1000,), (1, 300, 900), (1, 300, 900)),
        # twice the same ticks are no more
        ((300, 300, 900, 900), (300, 1000), (300, 1000)),
        ((), (300, 900), (300, 900)),
        ((), (), ()),
    ],
)
def test_the_better_answer_is_taken_and_the_other_one_deleted(
    tmp_path: Path, first: tuple[float, ...], second: tuple[float, ...], taken: tuple[float, ...]
) -> None:
    better = ask_again(
        tmp_path, answer(tmp_path / "first", *first), answer(tmp_path / "second", *second)
    )
    assert better.rows == len(taken)
    assert files(tmp_path) == ([better.path] if taken else [])
    if better.path:
        assert pq.read_table(better.path)["volume"].to_pylist() == list(taken)


class CountedLedger(dict[DayKey, LedgerRow]):
    """A ledger that counts how often it is iterated."""

    walks = 0

    def __iter__(self) -> Iterator[DayKey]:
        self.walks += 1
        return super().__iter__()

    def items(self) -> Any:
        self.walks += 1
        return super().items()


def test_a_landing_day_takes_out_other_contracts_without_reading_every_day() -> None:
    days = [DAY + timedelta(n) for n in range(30)]
    rows = [ledger_row(scheduled(day, "SHFE.cu2510")) for day in days[:2]]
    rows.append(ledger_row(scheduled(days[2], "SHFE.cu2509"), status="superseded"))
    rows += [ledger_row(scheduled(day)) for day in days[3:]]
    ledger, store = CountedLedger({row.key: row for row in rows}), Store()
    ctx = context(store=store, ledger=ledger)
    for day in days:
        batch.unlist_other_contracts(ctx, scheduled(day))
    assert store.superseded == [DayKey(SERIES, "SHFE.cu2510", day) for day in days[:2]]
    assert ledger.walks == 1


def test_ticks_of_one_session_alone_are_no_day_without_data(tmp_path: Path) -> None:
    with pytest.raises(UpstreamError, match="one session had ticks of the day, another none"):
        ask_again(tmp_path, answer(tmp_path / "first", 300), answer(tmp_path / "second"))
    assert files(tmp_path) == [tmp_path / "first" / "ticks-1.parquet"], "until it has an outcome"


@pytest.mark.parametrize(
    ("waited", "nights", "status", "lands"),
    [
        (30, 4, "doubtful", True),
        (29, 4, "doubtful", False),
        (30, 3, "doubtful", False),
        (1, 4, "no_data", True),
    ],
)
def test_ticks_of_one_session_alone_are_taken_before_the_day_is_given_up(
    tmp_path: Path, waited: int, nights: int, status: EmptyStatus, lands: bool
) -> None:
    since = NOW - timedelta(waited)
    record = NoDataRow(*SCHEDULED.key, "none", nights, since, since, nights, status)
    first, second, said = answer(tmp_path / "first", 300), answer(tmp_path / "second"), list[str]()
    if lands:
        assert ask_again(tmp_path, first, second, record, said) == first
        assert files(tmp_path) == [first.path]
        assert ["one session had ticks of the day, another none" in text for text in said] == [True]
    else:
        with pytest.raises(UpstreamError, match="another none"):
            ask_again(tmp_path, first, second, record, said)


def test_a_session_that_breaks_off_leaves_the_first_answer(tmp_path: Path) -> None:
    with pytest.raises(UpstreamError, match="away"):
        ask_again(tmp_path, answer(tmp_path / "first", 300), UpstreamError("away"))
    assert files(tmp_path) == [tmp_path / "first" / "ticks-1.parquet"]


def test_other_days_count_as_seen_only_where_both_sessions_saw_them(tmp_path: Path) -> None:
    first, second = answer(tmp_path / "1"), answer(tmp_path / "2", more_rows=False)
    assert not ask_again(tmp_path, first, second).more_days_had_rows


@pytest.mark.parametrize(
    ("route", "text"),
    [(ticks.HISTORY, "the best of two sessions"), (ticks.NEWEST, "of the newest 8,000 ticks")],
)
def test_a_short_day_that_lands_names_what_was_asked(route: str, text: str) -> None:
    said: list[str] = []
    ctx = context(said=said, days=[DAY])
    ctx.load.warehouse.ask = lambda _: {}  # type: ignore[method-assign]
    few = pa.table({"volume": [300.0], "datetime_ns": [0]})
    ticks.warn_of_oddities(ctx, SCHEDULED, few, "few ticks", route)
    [warning] = said
    assert f", {text}: landed as short" in warning


@pytest.mark.parametrize(
    ("came", "status", "traded", "by_name", "refetches", "lands"),
    [
        ((300, 899), "short", 1000, False, False, False),
        ((300, 900), "short", 1000, False, False, False),  # the same once more
        ((1, 300, 900), "short", 1000, False, False, True),
        ((300, 1000), "short", 1000, False, False, True),
        # a repair writes the same again, and nothing less
        ((300, 900), "complete", 900, True, False, True),
        ((300, 900), "short", 1000, True, False, True),
        ((900,), "complete", 900, True, False, False),
        ((300, 600), "complete", 900, True, False, False),
        ((300, 600), "complete", 900, True, True, False),
        # the last ticks of a day alone have all its lots
        ((900,), "complete", 900, True, True, False),
        ((910,), "complete", 900, True, False, False),
        ((1000,), "short", 1000, False, False, False),
    ],
)
def test_no_answer_that_is_less_replaces_stored_ticks(
    came: tuple[int, ...], status: Any, traded: int, by_name: bool, refetches: bool, lands: bool
) -> None:
    row = ledger_row(SCHEDULED, rows=2, status=status, day_volume=traded)
    ctx = context(ledger={SCHEDULED.key: row}, by_name=by_name, refetches=refetches)
    table = pa.table({"volume": pa.array(came, pa.float64())})
    assert (find_loss(ctx, SCHEDULED, table, traded) is None) == lands
    ctx.load.request = LoadRequest("tq", datasets=("ticks",), accept_loss=True)
    assert find_loss(ctx, SCHEDULED, table, traded) is None


def test_a_correction_takes_few_ticks_out_of_a_day_and_only_where_it_is_read_again() -> None:
    row = ledger_row(SCHEDULED, rows=20, status="complete", day_volume=900)
    table = pa.table({"volume": pa.array([*range(18), 900], pa.float64())})
    for refetches in (True, False):
        ctx = context(ledger={SCHEDULED.key: row}, by_name=True, refetches=refetches)
        assert (find_loss(ctx, SCHEDULED, table, 900) is None) == refetches


@pytest.mark.parametrize(
    ("status", "volume", "before", "now", "judged"),
    [
        ("complete", 900, 900, 1000, "short"),
        ("complete", 900, 900, 905, "complete"),
        ("short", 900, 1000, 905, "complete"),
        ("short", 900, 1000, 1100, "short"),
        ("short", 900, 905, 906, "short"),  # a hole
        ("short", 900, None, 906, "short"),
        ("complete", None, None, 906, "short"),
    ],
)
def test_another_day_bar_judges_stored_ticks_without_a_download(
    status: Any, volume: int | None, before: int | None, now: int, judged: str
) -> None:
    row = ledger_row(SCHEDULED, status=status, volume=volume, day_volume=before)
    assert (row.judged_by(now).status, row.judged_by(now).day_volume) == (judged, now)
