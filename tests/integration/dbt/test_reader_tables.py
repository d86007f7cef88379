"""`import quotemill`: each table that users read, by the same filters, and the short methods."""

import warnings
from datetime import date, datetime, time
from typing import Any

import psycopg
import pyarrow as pa
import pytest

import quotemill
from quotemill.warehouse.postgres import Warehouse
from tests.integration.dbt.price_market import CODE, DAYS, PRICE_MARKET, WITH_OPTIONS
from tests.integration.dbt.raw import bar, land
from tests.integration.dbt.raw_futures import VARIETY

pytestmark = PRICE_MARKET

OTHER = "sh600004"
SCHEMAS = ("market", "futures", "options")


def fill(url: str, table: str, *rows: tuple[Any, ...]) -> None:
    """Write rows into a built table."""
    with psycopg.connect(url, autocommit=True) as conn:
        for row in rows:
            places = ", ".join(["%s"] * len(row))
            conn.execute(f"insert into {table} values ({places})".encode(), row)


def get_column(rows: quotemill.Rows, name: str) -> list[Any]:
    return rows.to_arrow()[name].to_pylist()


def test_every_table_for_readers_opens_by_its_name(
    market: quotemill.Reader, conn: psycopg.Connection
) -> None:
    query = (
        "select relnamespace::regnamespace::text, relname from pg_class "
        "where relnamespace::regnamespace::text = any(%s) and relkind in ('r', 'v', 'm')"
    )
    names = conn.execute(query, (list(SCHEMAS),)).fetchall()
    assert len(names) >= 80
    for schema, name in names:
        rows = market.table(f"{schema}.{name}")
        [(number,)] = conn.execute(f"select count(*) from {schema}.{name}".encode())
        assert len(rows) == number, name
        columns = rows.schema.names
        assert market.table(name, columns=columns[0]).schema.names == columns[:1]
        if "trade_date" in columns or "valid_to" in columns:
            assert len(market.table(name, start=date(2100, 1, 1), end="2100-01-02")) <= number
        if batches := market.table(name, batches=True):
            assert batches.read_all().num_rows == number


@WITH_OPTIONS
def test_tables_take_the_filters_of_bars(market: quotemill.Reader) -> None:
    bars = market.table("kline_daily_hfq", "600000", DAYS[1], DAYS[3], columns=["trade_date"])
    assert get_column(bars, "trade_date") == DAYS[1:4]
    assert get_column(market.table("kline_daily", on=DAYS[2]), "trade_date") == [DAYS[2]]
    last = market.table("kline_daily", CODE, end=DAYS[7], columns="trade_date", count=2)
    assert get_column(last, "trade_date") == DAYS[6:8]
    days = market.table("futures.main_daily", VARIETY.lower(), DAYS[0], DAYS[1])
    assert get_column(days, "trading_day") == DAYS[:2]
    chain = market.table("chain_daily_clean", "AAPL", "2026-11-24", "2026-11-24", count=3)
    assert len(chain) == 3
    assert market.table("MARKET.Kline_Daily", CODE).to_arrow().num_rows == len(DAYS)
    for call, says, hint in (
        (lambda: market.table("stok_limits"), "no table stok_limits", "market.stock_limits"),
        (lambda: market.table("qa.findings"), "no table qa.findings", "sql()"),
        (lambda: market.table("daily_basic", "sh600001"), "there is no sh600001", "sh600004"),
        (lambda: market.table("trading_calendar", CODE), "trading_calendar", "Leave out codes"),
        (lambda: market.table("contracts", start=DAYS[0]), "options.contracts", "Leave out start"),
        (lambda: market.table("main_daily", "SHFE.xx"), "schedule .*SHFE.xx", VARIETY),
        (lambda: market.table("contracts", "NOPE"), "no symbol NOPE in options.contracts", ""),
        (lambda: market.table("daily_basic", count=3), "count", "Pass codes"),
        (lambda: market.table("symbol_dim", CODE, count=3), "symbol_dim", "Leave out count"),
        (lambda: market.table("daily_basic", CODE, count=0), "count .*0", "count=1"),
        (lambda: market.limits(on=DAYS[0], start=DAYS[0]), "start or end", "Leave out on"),
        (lambda: market.symbols(exchange="nyse"), "exchange nyse is unknown", "sh"),
        (lambda: market.sector_members("缺口"), "no sectors are loaded", "tdx.client"),
    ):
        with pytest.raises(quotemill.Error, match=says) as caught:
            call()
        assert hint in "".join(getattr(caught.value, "__notes__", []))


def test_the_last_rows_are_those_of_the_newest_changes(market: quotemill.Reader) -> None:
    newest = sorted(get_column(market.changes(), "change_no"))[-3:]
    assert get_column(market.table("changes", count=3), "change_no") == newest
    days = market.table("trading_calendar", count=2, batches=True).read_all()["trade_date"]
    all_days = get_column(market.calendar(), "trade_date")
    assert days.to_pylist() == all_days[-2:]


def test_the_last_bars_of_each_code_come_in_order(
    market: quotemill.Reader, warehouse: Warehouse
) -> None:
    with psycopg.connect(warehouse.url, autocommit=True) as conn:
        land(conn, "kline_daily", [bar(OTHER, day, "7") for day in DAYS[:6]])
    both = market.klines([CODE, OTHER], adjust="none", count=2)
    assert get_column(both, "code") == [CODE, CODE, OTHER, OTHER]
    assert get_column(both, "trade_date") == [*DAYS[-2:], *DAYS[4:6]]
    assert both.to_arrow() == market.klines([OTHER, CODE], count=2).to_arrow()
    three = market.klines(CODE, end=DAYS[7], columns=["close", "trade_date"], count=3)
    assert three.schema.names == ["close", "trade_date"]
    assert get_column(three, "trade_date") == DAYS[5:8]
    known = market.klines(CODE, adjust="qfq", as_of=DAYS[5], count=2, columns="trade_date")
    assert get_column(known, "trade_date") == DAYS[4:6]
    minutes = market.klines([CODE, OTHER], freq="5min", end=f"{DAYS[3]} 10:00", count=2)
    assert [at.minute for at in get_column(minutes, "bar_end")] == [55, 0]
    assert len(market.klines(CODE, count=99)) == len(DAYS)


def test_words_of_other_libraries_mean_the_same(market: quotemill.Reader) -> None:
    def read(**words: Any) -> Any:
        return market.klines(CODE, **words).to_arrow()

    for ours, theirs in {
        "1d": ("daily", "day", "D"),
        "1w": ("weekly", "W", "week"),
        "1mo": ("monthly", "M", "1M", "month"),
        "1m": ("1min", "minute", "1MIN"),
        "5m": ("5min",),
        "60m": ("60min", "1h"),
    }.items():
        for word in theirs:
            assert read(freq=word, adjust="qfq") == read(freq=ours, adjust="pre")
    assert read(adjust="post") == read(adjust="hfq")
    assert read(adjust="none") == read(adjust="") == read()
    assert market.klines(CODE, 20240604, 20240605).to_arrow().num_rows == 2
    with pytest.raises(quotemill.Error, match="adjust backward is unknown"):
        read(adjust="backward")


def test_what_holds_for_a_time_is_read_as_of_a_day(
    market: quotemill.Reader, warehouse: Warehouse
) -> None:
    forever = date(9999, 12, 31)
    fill(
        warehouse.url,
        "market.sectors",
        ("concept:芯片", "concept", "芯片", 1, 0, DAYS[0], forever),
        ("index:沪深300", "index", "沪深300", 1, 0, DAYS[0], forever),
    )
    fill(
        warehouse.url,
        "market.sector_members",
        ("concept:芯片", CODE, DAYS[0], DAYS[4]),
        ("concept:芯片", OTHER, DAYS[2], forever),
        ("index:沪深300", CODE, DAYS[0], forever),
    )
    assert get_column(market.sectors(kind="index"), "sector_name") == ["沪深300"]
    for on, codes in (
        (DAYS[0], [CODE]),
        (DAYS[3], [CODE, OTHER]),
        (DAYS[4], [OTHER]),
        (None, [OTHER]),
    ):
        assert get_column(market.sector_members("芯片", on=on), "code") == codes
        assert get_column(market.sector_members("concept:芯片", on=on), "code") == codes
    with pytest.raises(quotemill.Error, match=f"since {DAYS[0]}"):
        market.sector_members("芯片", on="2000-01-03")
    mine = market.sector_members(codes="600000", on=str(DAYS[1]))
    assert get_column(mine, "sector_id") == ["concept:芯片", "index:沪深300"]
    index = market.sector_members(codes="600000", kind="index", columns="sector_id", on=DAYS[1])
    assert list(index) == [{"sector_id": "index:沪深300"}]
    for sector, says in (("芯片", "there is no sector 芯片"), (None, "kind style is unknown")):
        with pytest.raises(quotemill.Error, match=says):
            market.sector_members(sector, kind="index" if sector else "style")
    with pytest.raises(quotemill.Error, match="sector 缺口") as unknown:
        market.sector_members("缺口")
    assert "sectors()" in "".join(unknown.value.__notes__)
    assert len(market.table("sector_members")) == 3
    fill(warehouse.url, "market.share_capital", (CODE, DAYS[0], DAYS[4], 5, 9))
    fill(warehouse.url, "market.share_capital", (CODE, DAYS[4], forever, 6, 9))
    assert get_column(market.capital(CODE, on=DAYS[3]), "float_shares") == [5]
    assert get_column(market.capital(CODE, on=DAYS[4]), "float_shares") == [6]
    assert get_column(market.capital(start=DAYS[3], end=DAYS[5]), "float_shares") == [5, 6]
    with psycopg.connect(warehouse.url, autocommit=True) as conn:
        conn.execute("drop view market.suspensions cascade")
        conn.execute(
            "create table market.suspensions (code text, last_bar_date date, trade_date date)"
        )
    fill(warehouse.url, "market.suspensions", (CODE, DAYS[2], DAYS[5]))
    there = [day for day in DAYS if len(market.suspensions(on=day))]
    assert there == DAYS[3:5]
    fill(warehouse.url, "market.suspensions", (OTHER, DAYS[4], None))  # which goes on
    there = [day for day in DAYS if len(market.suspensions(OTHER, on=day))]
    assert there == DAYS[5:]
    for exchange in ("sh", "SH", "XSHG"):
        assert get_column(market.symbols(exchange=exchange), "code") == [CODE, OTHER]
    assert len(market.factors(CODE)) == 2
    fill(warehouse.url, "market.symbol_dim", ("sh510300", "sh", "300ETF", "fund"))
    for kind in ("fund", "etf"):
        assert list(market.symbols(columns="code", kind=kind)) == [{"code": "sh510300"}]


def test_numbers_of_any_precision_are_decimals_and_doubles(market: quotemill.Reader) -> None:
    for rows in (market.factors(), market.corporate_actions(), market.table("main_daily")):
        kinds = {field.type for field in rows.schema if pa.types.is_decimal(field.type)}
        assert pa.decimal128(38, 18) in kinds
        assert not any(field.metadata for field in rows.schema)
    assert get_column(market.factors(CODE, exact=False), "backward_a")[0] == 1.0
    days = market.calendar(DAYS[0], DAYS[1], columns="trade_date", exact=False)
    assert list(days) == [{"trade_date": day} for day in DAYS[:2]]
    assert market.sectors(columns="sector_name").schema.names == ["sector_name"]


def test_bars_that_lack_a_refused_event_are_warned_about(
    market: quotemill.Reader, warehouse: Warehouse
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        market.klines(CODE, adjust="qfq")
        with psycopg.connect(warehouse.url, autocommit=True) as conn:
            conn.execute(
                "update market.adjustment_segments set has_refused_action = code = %s", (CODE,)
            )
        market.klines(CODE)
        market.klines(OTHER, adjust="qfq")
    for codes in (CODE, None):
        with pytest.warns(UserWarning, match=f"prices of {CODE} .*refused"):
            market.klines(codes, adjust="qfq")


@WITH_OPTIONS
def test_short_methods_read_their_tables(market: quotemill.Reader) -> None:
    for method, table in (
        (market.daily_basic, "daily_basic"),
        (market.limits, "stock_limits"),
        (market.quotes, "quote_snapshot"),
        (market.factors, "adjustment_segments"),
        (market.ticks, "tick_trade_raw"),
        (market.option_chains, "options.chain_daily_clean"),
    ):
        assert method().to_arrow() == market.table(table).to_arrow()
        assert method.__doc__
    chains = market.option_chains("AAPL", columns=["symbol", "trade_date"], exact=False)
    assert len(set(get_column(chains, "trade_date"))) > 1
    assert market.option_chains(batches=True).read_all().num_rows == len(market.option_chains())


def test_bars_of_futures_come_by_frequency_and_adjustment(
    market: quotemill.Reader, conn: psycopg.Connection
) -> None:
    for adjust in (None, "back_diff", "forward_ratio"):
        suffix = f"_{adjust}" if adjust else ""
        table = "futures.main_daily where variety = %s order by trading_day"
        query = f"select trading_day, close{suffix} from {table}"
        bars = market.futures_klines(VARIETY, adjust=adjust, columns=["trading_day", "close"])
        assert [tuple(bar.values()) for bar in bars] == conn.execute(query, (VARIETY,)).fetchall()
    bars = market.futures_klines(None, DAYS[2], DAYS[4], freq="daily")
    assert (len(bars), bars.schema.names[:2]) == (3, ["variety", "trading_day"])
    assert get_column(market.futures_klines(VARIETY, count=2), "trading_day") == DAYS[-2:]
    for name in (VARIETY.lower(), VARIETY.partition(".")[2], f"KQ.m@{VARIETY}"):
        assert len(market.futures_klines(name)) == len(DAYS)
    with psycopg.connect(conn.info.dsn, autocommit=True) as other:  # as the schedule's next day is
        day = "update futures.main_daily set is_final = null, close = null where trading_day = %s"
        other.execute(day, (DAYS[-1],))
    assert get_column(market.futures_klines(VARIETY, count=1), "trading_day") == [DAYS[-2]]
    assert get_column(market.main_contracts(VARIETY), "trading_day")[-1] == DAYS[-1]
    minutes = market.futures_klines(VARIETY, datetime.combine(DAYS[2], time(21)), freq="5min")
    assert "start_at" in minutes.schema.names
    for words, says in (
        ({"freq": "1w"}, "freq 1w is unknown"),
        ({"adjust": "pre"}, "adjust pre is unknown"),
        ({"start": f"{DAYS[2]} 21:00"}, "futures.main_daily"),
    ):
        with pytest.raises(quotemill.Error, match=says):
            market.futures_klines(VARIETY, **words)
