"""Day bars as they were known at a time, before a correction."""
# ruff: noqa: F811

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import psycopg
import pyarrow as pa
import pytest

import quotemill
from loaders.landing import load_job
from loaders.sources import landed_tables
from loaders.tdx.tables import KLINE_DAILY
from loaders.warehouse.content import content_id
from loaders.warehouse.migrate import prepare
from loaders.warehouse.tables import Batch
from orchestration.backup.dump import dump
from orchestration.backup.dump_restore import restore
from quotemill.warehouse.postgres import Warehouse
from tests.declared import conform
from tests.integration.console.conftest import (  # noqa: F401
    Caller,
    _needs_the_extra,
    open_console,
)
from tests.integration.dbt.price_market import CODE, DAYS, PRICE_MARKET
from tests.integration.dbt.raw import bar

pytestmark = PRICE_MARKET


def correct(warehouse: Warehouse, close: str, fetched: datetime) -> None:
    """Land another close of the first day, as a load does."""
    row = bar(CODE, DAYS[0], close, source_route="test", fetched_at=fetched, is_final=True)
    row["volume_unit"] = None
    rows = conform(pa.Table.from_pylist([row]), KLINE_DAILY)
    pipeline, _ = load_job.open_pipeline(warehouse, content_id(warehouse), lane="tdx", source="tdx")
    load_job.land(pipeline, warehouse, "tdx", table=KLINE_DAILY, batches=iter([Batch(rows)]))


@pytest.fixture
def corrected(conn: psycopg.Connection, warehouse: Warehouse) -> tuple[Warehouse, datetime]:
    """A market whose first close was 10, then 10.5 after 10 minutes, then 11 after 20."""
    keeping = replace(warehouse, history=frozenset({"raw_tdx.kline_daily"}))
    prepare(keeping, landed_tables())
    row = conn.execute("select value from ops.settings where key = 'history:raw_tdx.kline_daily'")
    [(start,)] = row.fetchall()
    since = datetime.fromisoformat(start)
    for minutes, close in ((10, "10.5"), (20, "11")):
        correct(keeping, close, since + timedelta(minutes=minutes))
    return keeping, since


def first_close(market: quotemill.Reader, at: datetime | str | None) -> Decimal:
    bars = market.klines(CODE, known_at=at).to_arrow()
    assert bars.num_rows == len(DAYS)
    return Decimal(bars["close"][0].as_py())


def test_bars_are_read_as_they_were_known(
    corrected: tuple[Warehouse, datetime],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    warehouse: Warehouse,
) -> None:
    monkeypatch.chdir(tmp_path)
    _, since = corrected
    with quotemill.open(url=warehouse.url, home=tmp_path) as market:
        for minutes, close in ((0, "10"), (9, "10"), (10, "10.5"), (19, "10.5"), (20, "11")):
            at = since + timedelta(minutes=minutes)
            assert first_close(market, at) == first_close(market, at.isoformat()) == Decimal(close)
        newest = since + timedelta(days=1)
        now = market.klines(CODE).to_arrow()
        assert market.klines(CODE, known_at=newest).to_arrow().equals(now)
        assert market.klines(known_at=newest).to_arrow().num_rows == len(DAYS)
        some = market.klines(CODE, DAYS[1], DAYS[2], columns=["close"], known_at=since)
        assert some.to_arrow().num_rows == 2
        for call, says in (
            (
                {"known_at": since - timedelta(1)},
                rf"raw_tdx\.kline_daily .* since {since:%Y-%m-%d}",
            ),
            ({"known_at": "2026-11-24T10:00:00"}, "has no time zone"),
            ({"known_at": "yesterday"}, "yesterday"),
            ({"known_at": newest, "adjust": "qfq"}, "as traded"),
            ({"known_at": newest, "freq": "5m"}, "as traded"),
        ):
            with pytest.raises(quotemill.Error, match=says):
                market.klines(CODE, **call)


def test_versions_go_into_a_dump_and_come_back(
    corrected: tuple[Warehouse, datetime], new_database: Callable[[], str], tmp_path: Path
) -> None:
    warehouse, since = corrected
    versions = "select close, fetched_at, known_until from raw_tdx.kline_daily_history order by 2"
    with warehouse.connect() as conn:
        before = conn.execute(versions).fetchall()
    assert [close for close, *_ in before] == [10_000, 10_500]
    dump(warehouse, tmp_path / "a.dump")
    other = replace(warehouse, url=new_database())
    restore(other, tmp_path / "a.dump", clean=False)
    with other.connect() as conn:
        assert conn.execute(versions).fetchall() == before
    with quotemill.open(url=other.url, home=tmp_path) as market:
        assert first_close(market, since + timedelta(minutes=5)) == Decimal(10)


def test_the_console_answers_with_bars_as_they_were_known(
    corrected: tuple[Warehouse, datetime], open_console: Callable[..., Caller], warehouse: Warehouse
) -> None:
    _, since = corrected
    caller = open_console({"QUOTEMILL_WAREHOUSE_URL": warehouse.url})
    path, at = f"/api/klines/{CODE}", since + timedelta(minutes=15)
    asked = {"known_at": at.isoformat()}
    answer = caller.json(path, params=asked)
    assert (answer["known_at"], answer["rows"][0]["close"]) == (at.isoformat(), 10.5)
    now = caller.json(path)
    assert now["rows"][0]["close"] == 11
    assert len(answer["rows"]) == len(now["rows"]) == len(DAYS)
    text = caller.get(path, params=asked | {"format": "csv"}).text
    assert ",10.500," in text.splitlines()[1]
    body = caller.get(path, params=asked | {"format": "arrow"}).content
    assert pa.ipc.open_stream(body).read_all()["close"][0].as_py() == Decimal("10.5")
    for wrong in (
        {"known_at": "2026-11-24T10:00:00"},
        {"known_at": "yesterday"},
        {"known_at": "0001-01-01T00:00:00+14:00"},
        {"known_at": "9999-12-31T23:59:59-23:59"},
        asked | {"adjust": "qfq"},
        asked | {"freq": "5m"},
    ):
        assert caller.get(path, params=wrong).status_code == 422, wrong
    late = {"known_at": "9999-12-30T23:59:59-23:59"}
    assert caller.json(path, params=late)["rows"] == now["rows"]


def test_without_the_setting_the_error_says_what_keeps_versions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, warehouse: Warehouse
) -> None:
    monkeypatch.chdir(tmp_path)
    with (
        quotemill.open(url=warehouse.url, home=tmp_path) as market,
        pytest.raises(quotemill.Error, match="kline_daily are not kept") as no,
    ):
        market.klines(CODE, known_at="2026-11-24T10:00:00+08:00")
    assert "[history]" in no.value.__notes__[0]
