"""Day bars: settled days, bars of other days, and the cost of a failing contract."""

import math
import re
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from loaders.engine.outcome import Outcome
from loaders.tq.client.answers import Instruments, daily_table
from loaders.tq.context import Context, load_key
from loaders.tq.datasets import contract_daily
from loaders.tq.errors import TqAnswerError, TqClientError, TqTimeout, TqTransport
from loaders.tq.settings import TqSettings
from loaders.trading_time import SHANGHAI
from quotemill.errors import UpstreamError

EVE, DAY, NEXT = date(2025, 10, 22), date(2025, 10, 23), date(2025, 10, 24)
TEN = EVE + timedelta(10)
CU = "SHFE.cu2512"
HOURS = [("day", 0, 9 * 3600, 15 * 3600)]


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=SHANGHAI).astimezone(UTC)


class Warehouse:
    """The warehouse of a variety with known hours and one contract."""

    def ask(self, work: Callable[[Any], Any]) -> Any:
        return work(self)

    def execute(self, query: str, _: Any = None) -> Any:
        if "trading_session" in query:
            return [(EVE, *hours) for hours in HOURS]
        if "contract, variety" in query:
            return SimpleNamespace(fetchall=lambda: [(CU, "SHFE.cu")])
        rows = (
            [(CU, EVE, None, at("2025-10-22T17:00"))] if "daily_harvest" in query else [(CU, EVE)]
        )
        return SimpleNamespace(fetchone=lambda: (EVE,), fetchall=lambda: rows)


def running(
    now: str, seen: str | None, bars: tuple[date, ...] = (), cursor: str | None = None, **tq: Any
) -> Context:
    """A load at `now`, whose source was last quoted at `seen` and has day bars."""

    def daily(contracts: list[str], first: date, last: date) -> pa.Table:
        prices = pa.array([Decimal(1)] * len(bars), pa.decimal128(24, 9))
        return pa.table(
            {
                "contract": pa.array([CU] * len(bars), pa.string()),
                "trade_date": pa.array(bars, pa.date32()),
                "close": prices,
            }
        )

    load = SimpleNamespace(
        settings=SimpleNamespace(tq=TqSettings(**tq)),
        clock=lambda: at(now),
        warehouse=Warehouse(),
        cursors=lambda _: {CU: cursor} if cursor else {},
        room=lambda: True,
    )
    ctx = Context(
        cast("Any", load),
        cast("Any", SimpleNamespace(daily=daily, exchange_seen_at=lambda _: None)),
        Path(),
        days=[EVE, DAY, NEXT],
    )
    quoted = {"SHFE.cu": at(seen) if seen else None}
    ctx.instruments["SHFE.cu"] = Instruments({"SHFE.cu": HOURS}, [], quoted)
    return ctx


@pytest.mark.parametrize(
    ("now", "seen", "settled"),
    [
        ("2025-10-23T17:00", "2025-10-23T14:59:59", DAY),
        ("2025-10-23T17:00", "2025-10-23T14:55:00", DAY),
        ("2025-10-23T17:00", "2025-10-23T14:35:00", EVE),  # frozen
        ("2025-10-23T15:20", "2025-10-23T15:00:00", EVE),  # more may come
        ("2025-10-23T17:00", "2025-10-23T21:30:00", DAY),  # of the next day
        ("2025-10-23T17:00", None, None),
    ],
)
def test_a_day_has_settled_once_it_is_quoted_to_its_end(
    now: str, seen: str | None, settled: date | None
) -> None:
    assert running(now, seen).last_settled_day("SHFE.cu") == settled


def load_bars(ctx: Context) -> Outcome:
    [outcome] = contract_daily.fetch(ctx, [CU])
    return outcome


@pytest.mark.parametrize("seen", [None, "2025-10-22T15:00:00", "2025-10-23T14:35:00"])
def test_bars_that_go_on_without_quotes_land_as_provisional_and_fail(seen: str | None) -> None:
    outcome = load_bars(
        running("2025-10-23T17:00", seen, (EVE, DAY), None if seen is None else str(EVE))
    )
    assert re.search("quote .*SHFE.cu .* 2025-10-23", str(outcome.failure))
    assert outcome.rows is not None
    assert outcome.rows["is_final"].to_pylist() == [seen is not None, False]
    assert outcome.cursor == (EVE if seen else None)


def test_bars_that_were_final_before_the_quotes_ended_are_no_failure() -> None:
    assert load_bars(running("2025-10-23T17:00", None, (EVE, DAY), str(DAY))).failure is None
    outcome = load_bars(running("2025-10-23T17:00", None, (EVE, DAY), str(EVE)))
    assert re.search("bars .* 2025-10-23 .*final", str(outcome.failure))


@pytest.mark.parametrize(("today", "asked_again"), [(TEN - timedelta(1), True), (TEN, False)])
def test_a_contract_without_a_trade_on_its_last_day_is_asked_for_ten_days(
    today: date, asked_again: bool
) -> None:
    """It expired on EVE."""
    before = EVE - timedelta(1)
    ctx = running(f"{today}T17:00", f"{today}T15:00:00", (before,), str(before))
    ctx.days = [before, *ctx.days, today]
    assert load_bars(ctx).cursor == (before if asked_again else EVE)
    # bars that end long before were cut off
    early = EVE - timedelta(30)
    ctx = running(f"{today}T17:00", f"{today}T15:00:00", (early,), str(early))
    ctx.days = [early, *ctx.days, today]
    assert load_bars(ctx).cursor == early


@pytest.mark.parametrize(
    ("now", "seen", "bars"),
    [
        ("2025-10-23T17:00", "2025-10-23T15:00:00", (EVE, DAY)),  # sound
        ("2025-10-23T14:00", "2025-10-23T14:00:00", (EVE, DAY)),  # in the session
        ("2025-10-23T15:10", "2025-10-23T15:00:00", (EVE, DAY)),  # within the margin
        ("2025-10-23T22:00", "2025-10-23T15:00:00", (EVE, DAY)),  # no night
        ("2025-10-25T12:00", "2025-10-24T15:00:00", (EVE, DAY, NEXT)),  # a weekend
        ("2025-10-24T17:00", "2025-10-22T15:00:00", (EVE,)),  # an old world, all of it
        ("2025-10-23T17:00", None, ()),  # not traded yet
    ],
)
def test_a_sound_source_is_no_alarm(now: str, seen: str | None, bars: tuple[date, ...]) -> None:
    assert load_bars(running(now, seen, bars)).failure is None


@pytest.mark.parametrize(
    ("error", "ends"),
    [(TqClientError("odd"), False), (TqTimeout("late"), False), (TqTransport("away"), True)],
)
def test_only_servers_that_cannot_be_reached_end_a_load(error: Exception, ends: bool) -> None:
    def work(_: str) -> Outcome:
        raise error

    outcome = load_key(CU, work)
    assert outcome.failure
    assert (outcome.gone is not None) == ends


CONTRACTS = [f"SHFE.cu26{month:02}" for month in range(1, 6)]


def ask(error: UpstreamError, bad: Collection[str]) -> tuple[list[bool], list[int]]:
    """Which of five contracts got their bars, and how many contracts each question was about."""
    asked: list[int] = []

    def daily(contracts: Sequence[str], *_: date) -> pa.Table:
        asked.append(len(contracts))
        if set(contracts) & set(bad):
            raise error
        return pa.table({"contract": list(contracts)})

    ctx: Any = SimpleNamespace(harvest=SimpleNamespace(daily=daily), today=DAY)
    answers = contract_daily._ask(ctx, CONTRACTS, DAY)
    assert list(answers) == CONTRACTS
    assert all(answer is error for c, answer in answers.items() if c in bad)
    return [isinstance(answer, pa.Table) for answer in answers.values()], asked


@pytest.mark.parametrize("kind", [TqClientError, TqAnswerError, TqTimeout])
def test_a_contract_whose_bars_never_come_costs_no_other(kind: type[UpstreamError]) -> None:
    has_bars, asked = ask(kind("odd"), CONTRACTS[1:2])
    assert has_bars == [True, False, True, True, True]
    assert asked == [5, 1, 1, 1, 1, 1]


def test_servers_that_are_silent_about_two_in_a_row_are_asked_for_no_third() -> None:
    has_bars, asked = ask(TqTimeout("no sign of life"), CONTRACTS)
    assert has_bars == [False] * 5
    assert asked == [5, 1, 1]


def test_a_variety_whose_contracts_are_not_listed_fails_and_ends_no_load() -> None:
    unlisted = UpstreamError("the source lists none of the 12 contracts")

    def instruments(_: Sequence[str]) -> Instruments:
        raise unlisted

    ctx = running("2025-10-23T17:00", "2025-10-23T15:00:00", (EVE, DAY))
    ctx.instruments.clear()
    cast("Any", ctx.harvest).instruments = instruments
    outcome = load_bars(ctx)
    assert (outcome.key, outcome.gone) == (CU, None)
    assert str(unlisted) in str(outcome.failure)


def bar_file(folder: Path, close: float, volume: float = 3.0) -> Path:
    """A day bar as the client's process writes it."""
    row: dict[str, Any] = {"contract": CU, "trade_date": "2025-10-22", "open": None}
    row |= {"high": 100.30000000000001, "low": 0.1 + 0.2, "close": close}
    pq.write_table(
        pa.Table.from_pylist([row | {"volume": volume, "open_oi": 4.0, "close_oi": 5.0}]),
        folder / "bars.parquet",
    )
    return folder / "bars.parquet"


def test_prices_of_bars_have_the_places_of_their_columns(tmp_path: Path) -> None:
    [bar] = daily_table(bar_file(tmp_path, 98.7)).to_pylist()
    prices = [bar[name] for name in ("open", "high", "low", "close")]
    assert prices == [None, *map(Decimal, ("100.3", "0.3", "98.7"))]


@pytest.mark.parametrize(
    ("close", "volume"), [(math.inf, 3.0), (1e300, 3.0), (1e16, 3.0), (1, 0.5)]
)
def test_a_bar_that_is_none_is_an_answer_that_cannot_be_right(
    tmp_path: Path, close: float, volume: float
) -> None:
    with pytest.raises(TqAnswerError, match="that cannot be stored"):
        daily_table(bar_file(tmp_path, close, volume))
