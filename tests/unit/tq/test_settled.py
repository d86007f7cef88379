"""When a trading day has settled, what is said of bars whose day has not, and which errors end a load."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pyarrow as pa
import pytest

from loaders.engine.outcome import Outcome
from loaders.tq.client.answers import Instruments
from loaders.tq.context import Context, outcome_of
from loaders.tq.datasets import contract_daily
from loaders.tq.errors import TqClientError, TqTimeout, TqTransport
from loaders.tq.settings import TqSettings
from loaders.trading_time import SHANGHAI

EVE, DAY, NEXT = date(2025, 10, 22), date(2025, 10, 23), date(2025, 10, 24)
LATER = date(2025, 11, 3)
CU = "SHFE.cu2512"
HOURS = [("day", 0, 9 * 3600, 15 * 3600)]


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=SHANGHAI).astimezone(UTC)


class Stored:
    """The warehouse of a variety whose hours are known and nothing else."""

    def ask(self, work: Callable[[Any], Any]) -> Any:
        return work(self)

    def execute(self, query: str, _: Any = None) -> Any:
        if "trading_session" in query:
            return [(EVE, *hours) for hours in HOURS]
        return SimpleNamespace(fetchone=lambda: (EVE,), fetchall=lambda: [(CU, EVE)])


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
        warehouse=Stored(),
        cursors=lambda _: {CU: cursor} if cursor else {},
        room=lambda: True,
    )
    run = Context(
        cast("Any", load),
        cast("Any", SimpleNamespace(daily=daily)),
        cast("Any", None),
        Path(),
        days=[EVE, DAY, NEXT],
    )
    told = {"SHFE.cu": at(seen) if seen else None}
    run.instruments["SHFE.cu"] = Instruments({"SHFE.cu": HOURS}, [], told)
    return run


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
    assert running(now, seen).settled("SHFE.cu") == settled


def bar(run: Context) -> Outcome:
    [found] = contract_daily.fetch(run, [CU])
    return found


@pytest.mark.parametrize("seen", [None, "2025-10-22T15:00:00", "2025-10-23T14:35:00"])
def test_bars_that_go_on_without_quotes_land_as_provisional_and_fail(seen: str | None) -> None:
    found = bar(running("2025-10-23T17:00", seen, (EVE, DAY), None if seen is None else str(EVE)))
    assert "no quote of SHFE.cu from the end of 2025-10-23" in str(found.failure)
    assert found.rows is not None
    assert found.rows["is_final"].to_pylist() == [seen is not None, False]
    assert found.cursor == (EVE if seen else None)


def test_bars_that_were_final_before_the_quotes_went_are_no_failure() -> None:
    assert bar(running("2025-10-23T17:00", None, (EVE, DAY), str(DAY))).failure is None
    found = bar(running("2025-10-23T17:00", None, (EVE, DAY), str(EVE)))
    assert "its bars from 2025-10-23 on are not final" in str(found.failure)


@pytest.mark.parametrize(("today", "asked_again"), [(NEXT, True), (LATER, False)])
def test_a_contract_that_was_not_traded_on_its_last_day_is_asked_for_some_days_more_and_no_longer(
    today: date, asked_again: bool
) -> None:
    """It expired on EVE."""
    before = EVE - timedelta(1)
    run = running(f"{today}T17:00", f"{today}T15:00:00", (before,), str(before))
    run.days = [before, *run.days, LATER]
    assert bar(run).cursor == (before if asked_again else EVE)
    # bars that end long before were cut off
    early = EVE - timedelta(30)
    run = running(f"{today}T17:00", f"{today}T15:00:00", (early,), str(early))
    run.days = [early, *run.days, LATER]
    assert bar(run).cursor == early


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
    assert bar(running(now, seen, bars)).failure is None


@pytest.mark.parametrize(
    ("error", "ends"),
    [(TqClientError("odd"), False), (TqTimeout("late"), False), (TqTransport("away"), True)],
)
def test_only_servers_that_cannot_be_reached_end_a_load(error: Exception, ends: bool) -> None:
    def work(_: str) -> Outcome:
        raise error

    found = outcome_of(CU, work)
    assert found.failure
    assert (found.gone is not None) == ends
