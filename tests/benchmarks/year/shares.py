"""Steps of shares: minutes at once, their first rollups, nights, a corrected day."""

from collections.abc import Callable, Sequence
from datetime import date
from functools import partial

import psycopg

from loaders.tdx.tables import KLINE_MINUTE, KLINE_PERIOD
from loaders.warehouse.tables import LandedTable
from tests.benchmarks.builds import READ, WRITTEN
from tests.benchmarks.first_loads import measure_limit
from tests.benchmarks.year import market
from tests.benchmarks.year.market import FIRST, MINUTES, MORE
from tests.benchmarks.year.place import Figure, Year, run, seconds_of
from tests.client_folder import codes_of

CORRECTED = codes_of(1)[0]
LENGTHS = (5, 15, 30)
ROLLUPS = tuple(f"kline_{length}m" for length in LENGTHS)
ONLY = ("--only=load", "--only=build")
CORE = ("codes", "trading_calendar", "index_kline", "kline_daily")
# a year later than the stored bars, which has no row yet
LATER = {"bar_end": "bar_end + interval '364 days'", "trade_date": "trade_date + 364"}
# the bars of a day, computed as plainly as it goes
ROLLED = """
    create table public.limit_{length} as
    select code, trade_date,
        date_bin('{length} minutes', bar_end - interval '1 minute', timestamptz '2000-01-01')
            + interval '{length} minutes' as bar_end,
        (array_agg(open order by bar_end))[1] as open, max(high) as high, min(low) as low,
        (array_agg(close order by bar_end desc))[1] as close,
        sum(volume_shares) as volume_shares, sum(amount_cny) as amount_cny
    from market.kline_minute_raw where trade_date = '{day}'
    group by 1, 2, 3
"""


def day_at(count: int) -> date:
    """The last one of so many days of minutes."""
    return market.all_days()[market.day_number(count) - 1]


def load_history(year: Year) -> list[Figure]:
    """Ten years of day bars, then the first days of minutes at once."""
    market.write_days(year.client, year.codes, before=0, count=FIRST)
    day = day_at(FIRST)
    year.load(day, *CORE)
    fixed, _ = year.load(day, "codes")
    year.settle()
    seconds, memory = year.load(day, "minute_1m")
    year.settle()
    parts, bars = measure_limit(year.home, year.client, KLINE_MINUTE, "minline/*.lc1")
    name, how = f"history: {bars:,} minutes at once", "files once, COPY, keys"
    return [
        Figure(name, seconds, "s", sum(parts.values()), how, "≤ 1.5", fixed),
        Figure(f"{name}: memory", memory, "MB", aim="≤ 700"),
    ]


def build_first(year: Year) -> list[Figure]:
    """The first build of rollups, over the first days."""
    left_out = (f"{ROLLUPS[0]}+", "resource_type:unit_test", "resource_type:test")
    year.home.run("quotemill", "dbt", "build", "--exclude", *left_out)
    year.settle()
    command = ("quotemill", "build", "--select", " ".join(ROLLUPS))
    seconds, fixed = year.home.run(*command), year.home.run(*command)
    limit = seconds_of(lambda: [_copy_table(year, f"market.{name}") for name in ROLLUPS])
    [(minutes,)] = year.rows("select count(*) from raw_tdx.kline_minute")
    name = f"first build of rollups over {minutes:,} minutes"
    year.home.run("quotemill", "build")
    return [Figure(name, seconds, "s", limit, "create table as, keys", "≤ 2", fixed)]


def _copy_table(year: Year, table: str) -> None:
    copied = f"public.copied_{table.partition('.')[2]}"
    indexes = year.rows(
        "select pg_get_indexdef(indexrelid) from pg_index where indrelid = %s::regclass", table
    )
    year.rows(f"create table {copied} as select * from {table}")
    for (index,) in indexes:
        year.rows(index.replace(f" ON {table} ", f" ON {copied} "))
    year.rows(f"drop table {copied}")


def correct_day(year: Year) -> list[Figure]:
    """One minute of a code's first day, corrected: seconds, and rows touched."""
    [(minutes, newest)] = year.rows("select count(*), max(trade_date) from raw_tdx.kline_minute")
    for _ in range(2):  # dbt compiles other SQL for the first
        market.correct_minute(year.client, CORRECTED)
        before = _count_rows(year)
        loaded, _ = year.load(newest, "minute_1m")
        seconds = loaded + year.build(newest)
        touched = _count_rows(year) - before
    name = f"a corrected day, {minutes:,} minutes stored"
    early = {figure.unit: figure.value for figure in year.figures.get("correction early", ())}
    how, aim = (f"at {FIRST} days", "≤ 1.1") if early else ("", "")
    return [
        Figure(name, seconds, "s", early.get("s"), how, aim),
        Figure(name, touched, "rows", early.get("rows"), how, aim),
    ]


def _count_rows(year: Year) -> int:
    """Rows read and written so far, the load's own reading left out."""
    year.rows("select pg_stat_force_next_flush()")
    return sum(count or 0 for query in (WRITTEN, READ) for [(count,)] in [year.rows(query)])


def load_more(year: Year) -> list[Figure]:
    """Three times as many days of minutes again, and their build."""
    market.write_days(year.client, year.codes, before=FIRST, count=FIRST + MORE)
    day = day_at(FIRST + MORE)
    year.load(day, *CORE)
    seconds, memory = year.load(day, "minute_1m")
    built = year.build(day)
    year.settle()
    [(minutes,)] = year.rows("select count(*) from raw_tdx.kline_minute")
    return [
        Figure(f"{MORE} more days, to {minutes:,} minutes: load", seconds),
        Figure("the same: memory", memory, "MB", aim="≤ 700"),
        Figure("the same: build", built),
    ]


def run_nights(year: Year) -> list[Figure]:
    """A night of minutes, and one of five-minute bars, each beside its limit."""
    figures = []
    for count, dataset, table, suffix in (
        (FIRST + MORE + 1, "minute_1m", KLINE_MINUTE, ".lc1"),
        (FIRST + MORE + 2, "minute_5m", KLINE_PERIOD, ".lc5"),
    ):
        day, before = day_at(count), day_at(count - 1)
        for _ in range(2):  # the first may load what no step before has asked for
            fixed = run(year.home, "quotemill", "run", "tdx", f"--as-of={before}T20:00", *ONLY)[0]
        market.write_days(year.client, year.codes, before=count - 1, count=count)
        if dataset == "minute_5m":
            market.write_fives(year.client, year.codes, before=count - 1, count=count)
        year.load(day, *CORE)
        year.build(day)
        year.settle()
        loaded, memory = year.load(day, dataset)
        built = year.build(day)
        condition = f"trade_date = '{day}'"
        [(bars,)] = year.rows(f"select count(*) from {table.qualified} where {condition}")
        lengths = LENGTHS if dataset == "minute_1m" else ()
        size = MINUTES if dataset == "minute_1m" else MINUTES // market.FIVE
        read = partial(market.read_newest, year.client, suffix, size)
        limit = measure_night(year, table, read, day, lengths)
        name, how = f"a night: {bars:,} bars from {suffix}", "read, COPY into the same table"
        how += ", rollups by SQL" if lengths else ""
        figures += [
            Figure(f"{name}, load + build", loaded + built, "s", limit, how, "≤ 1.5", fixed),
            Figure(f"{name}: load", loaded),
            Figure(f"{name}: memory", memory, "MB", aim="≤ 700"),
        ]
        if dataset == "minute_5m":  # and the minutes of that day
            year.load(day, "minute_1m")
            year.build(day)
    year.settle()
    return figures


def measure_night(
    year: Year,
    table: LandedTable,
    read: Callable[[], object],
    day: date,
    lengths: Sequence[int] = LENGTHS,
) -> float:
    """Seconds of what cannot be left out: `read`, COPY with keys, the day's rollups."""
    names = table.stored.names
    later = ", ".join(LATER.get(name, name) for name in names)
    source = f"select {later} from {table.qualified} where trade_date = '{day}'"
    target = f"{table.qualified} ({', '.join(names)})"
    with psycopg.connect(year.home.dsn, autocommit=True) as conn:
        with conn.cursor().copy(f"copy ({source}) to stdout (format binary)".encode()) as copy:
            rows = b"".join(map(bytes, copy))
        conn.execute("checkpoint")

        def work() -> None:
            read()
            with (
                conn.transaction(force_rollback=True),
                conn.cursor().copy(f"copy {target} from stdin (format binary)".encode()) as copy,
            ):
                copy.write(rows)
            for length in lengths:
                conn.execute(ROLLED.format(length=length, day=day).encode())

        seconds = seconds_of(work)
        for length in lengths:
            conn.execute(f"drop table public.limit_{length}".encode())
    return seconds
