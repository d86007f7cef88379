"""Every fault of the service, for the datasets where it matters, on the day after a good one.

After a load in their midst either everything is as without them, and the job's log names the route
that stood in, or exactly the keys that they cost have failed by name. What is stored is never less
or worse than before. Once the service is well, the next load leaves what an undisturbed one leaves.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from loaders.engine.result import LoadResult
from loaders.sandbox.tdx.faults import KINDS
from loaders.sandbox.world.market import SyntheticMarket
from loaders.tdx import tables
from loaders.tdx.source import SOURCE
from tests.integration.tdx_load.bench import CORE, Bench, bench

# a row of a landed table by its key; a cursor by its own
Rows = dict[tuple[Any, ...], dict[str, Any]]
# one exchange's codes are enough: what is small is quick
EXCHANGE = "sz"
STOCK, FUND = "sz000001", "sz159915"
CODES = frozenset({STOCK, "sz000002", FUND})
ALL = frozenset({"all"})
# of each dataset its table, and the route that is asked first
TABLES = {
    "codes": (tables.SECURITY, "codes"),
    "trading_calendar": (tables.TRADING_DAY, "workday/range"),
    "kline_daily": (tables.KLINE_DAILY, "kline-all"),
    "stock_info": (tables.STOCK_INFO, "stock-info"),
    "minute_1m": (tables.KLINE_MINUTE, "kline-history"),
    "index_kline": (tables.INDEX_KLINE, "index/all"),
    "tick_trade": (tables.TICK_TRADE, "trade-history/full"),
    "quote_snapshot": (tables.QUOTE, "batch-quote"),
    "market_stats_snapshot": (tables.MARKET_STATS, "market-stats"),
    "kline_weekly": (tables.KLINE_PERIOD, "kline-all"),
    "kline_5m": (tables.KLINE_PERIOD, "kline-history"),
    "kline_adjusted": (tables.KLINE_ADJUSTED, "kline-all/ths"),
}
BEYOND = "volume must be at most 1000000000000"
LOW = "high must not be below low"
# nothing is gained by waiting for an outage
PATIENCE: dict[str, dict[str, float]] = {
    "outage": {"retries": 0},
    "hang": {"retries": 0, "timeout": 0.5},
    "refuse": {"retries": 4},
    "restart": {"retries": 4},
    "reset": {"retries": 4},
}
# they come first in every load; before the others the day bars of the new day have landed too
STAND_ALONE = ("codes", "trading_calendar")
FIRST = (*STAND_ALONE, "kline_daily")


@dataclass(frozen=True)
class Case:
    """What some faults do to the load of a dataset.

    `failed`: the keys that fail by name; None: some do.
    `said`: in their failures, or in the job's log where another route was taken.
    `late`: nothing failed, yet rows are missing or provisional until the next load.
    `unchecked`: no load can know that they are wrong; one with `--mode init` reads them again.
    `rejected`: the rule by which rows were rejected.
    """

    dataset: str
    faults: tuple[str, ...]
    failed: frozenset[str] | None = frozenset()
    said: str = ""
    late: bool = False
    rejected: str = ""
    unchecked: bool = False

    def __str__(self) -> str:
        return f"{self.dataset} {' and '.join(self.faults)}"


# one after the other on the first calls of a route, fewer than the tries of one call
PASSING = ("reset:{}:first=1", "html:{}:nth=2", "cut:{}:nth=3", "error:{}:nth=4")
CASES = (
    *(
        Case(dataset, tuple(fault.format(route) for fault in PASSING))
        for dataset, (_, route) in TABLES.items()
    ),
    # the list is one moment's whole truth: emptied, halved or cut it would delist securities
    Case("codes", ("empty:codes",), ALL, "success without"),
    Case("codes", ("empty:etf", f"codes-vanish:code={STOCK}"), ALL, "are kept"),
    Case("codes", ("codes-missing:exchange=sz",), ALL, "are kept"),
    Case("codes", ("codes-stale:etf:drop=9", f"codes-vanish:code={STOCK}"), ALL, "are kept"),
    Case("codes", ("codes-duplicate",)),
    # every other dataset counts by it, and the service is known to lose it to its time zone
    Case("trading_calendar", ("calendar-empty",), frozenset({"SSE"}), "is empty"),
    Case("trading_calendar", ("calendar-short:workday/range:keep=10",)),
    Case(
        "trading_calendar",
        ("missing-field:workday/range:field=iso",),
        frozenset({"SSE"}),
        "is missing",
    ),
    Case("trading_calendar", ("html:workday/range",), frozenset({"SSE"}), "HTTP 502"),
    Case("trading_calendar", ("calendar-hole:workday/range",)),
    # a code that trades has bars
    Case("kline_daily", (f"empty:kline-all:code={STOCK}",), frozenset({STOCK}), "success without"),
    Case("kline_daily", (f"error:*:code={STOCK}",), frozenset({STOCK}), "上游错误"),
    Case("kline_daily", ("outage:after=1",), None, "TDX service outage"),
    Case("kline_daily", (f"hang:*:code={STOCK}",), frozenset({STOCK}), "no complete"),
    Case("kline_daily", ("refuse:kline-all:first=1:seconds=0.1",)),
    Case("kline_daily", ("restart:kline-all:first=1:seconds=0.1",)),
    Case("kline_daily", ("latency:kline-all:seconds=0.01",)),
    Case("kline_daily", (f"empty-body:*:code={STOCK}",), frozenset({STOCK}), "an empty body"),
    Case("kline_daily", ("rate-limit:kline-all:per_second=0",), CODES, "HTTP 429"),
    Case("kline_daily", (f"string-number:*:code={STOCK}",), frozenset({STOCK}), "a text"),
    Case("kline_daily", ("extra-field:kline-all",)),
    Case("kline_daily", ("stale:kline-all",), late=True),
    Case("kline_daily", ("unfinished:kline-all",), unchecked=True),
    Case("kline_daily", ("provisional:kline-all",), unchecked=True),
    Case("kline_daily", ("value:kline-all",), CODES, "was rejected", rejected=BEYOND),
    # three sources in one answer, each left out without a word; the third party's can break it
    Case("stock_info", ("ths-down:stock-info",), said="without kline_day", late=True),
    Case("stock_info", ("quote-mismatch:stock-info",), said="without quote", late=True),
    Case("stock_info", ("reset:stock-info",), said="/api/stock-info → /api/quote", late=True),
    Case("stock_info", (f"error:*:code={STOCK}",), frozenset({STOCK}), "上游错误"),
    Case("stock_info", ("outage",), said="without minute, quote", late=True),
    # its routes are cut short and mislabelled without a word
    Case(
        "minute_1m", ("short:kline-history:keep=100",), said="/api/kline-history → /api/kline-all"
    ),
    Case("minute_1m", ("noon-label:kline-history",)),
    Case("minute_1m", ("high-below-low:kline-history",), rejected=LOW),
    Case(
        "minute_1m",
        ("error:kline-history", "error:kline-all"),
        CODES,
        "no minutes for",
    ),
    Case("minute_1m", (f"timeout:*:code={STOCK}",), frozenset({STOCK}), "超时"),
    Case("minute_1m", ("outage:after=1",), None, "TDX service outage"),
    # two routes, of which the short one knows no weeks; an empty success means no such index
    Case(
        "index_kline",
        ("empty:index/all",),
        frozenset({"sh000001 week", "sh000001 month"}),
        "success without",
    ),
    Case(
        "index_kline",
        ("short:index/all:keep=1",),
        frozenset({"sh000001", "sh000001 week", "sh000001 month"}),
        "Nothing was overwritten",
    ),
    Case(
        "index_kline",
        ("empty:index", "empty:index/all"),
        frozenset({"sh000001", "sh000001 week", "sh000001 month", "sh000001 minute1"}),
        "success without",
    ),
    Case("index_kline", ("error:index",), said="/api/index → /api/index/all"),
    Case("index_kline", ("noon-label:index",)),
    Case("index_kline", ("outage:after=1",), None, "TDX service outage"),
    # days are left out, cut short or doubled with success, and ticks have no key to tell by
    Case("tick_trade", ("missing-days:trade-history/full",), said="days are missing"),
    Case("tick_trade", ("calendar-empty:trade-history/full",), said="days are missing"),
    Case("tick_trade", ("short:trade-history/full:keep=50",), said="days are incomplete"),
    Case("tick_trade", ("duplicate-page:minute-trade-all:page=300",), CODES, "comes after"),
    Case("tick_trade", (f"timeout:*:code={STOCK}",), frozenset({STOCK}), "超时"),
    # one code that cannot be served fails fifty
    Case("quote_snapshot", (f"quote-mismatch:*:code={STOCK}",), frozenset({STOCK}), "预期"),
    Case("quote_snapshot", ("half-init",), frozenset({FUND}), "Restart"),
    Case("quote_snapshot", ("empty:batch-quote",), said="→ /api/quote: EmptyAnswer"),
    Case(
        "quote_snapshot",
        ("missing-field:batch-quote:field=TotalHand",),
        said="→ /api/quote: WrongShape",
    ),
    Case("quote_snapshot", ("outage",), CODES, "TDX service outage"),
    # two calls for everything; each can fail, and a lost list counts as zero stocks
    Case("market_stats_snapshot", ("error:market-stats",), said="→ nothing", late=True),
    Case("market_stats_snapshot", ("timeout:market-count",), said="→ nothing", late=True),
    Case(
        "market_stats_snapshot",
        ("codes-missing:market-stats:exchange=sz",),
        said="no stocks of sz",
        late=True,
    ),
    Case(
        "market_stats_snapshot",
        ("error:market-stats", "error:market-count"),
        frozenset({"sh", "sz", "bj"}),
        "上游错误",
    ),
    # a whole history each time, of which a part can be lost; the newest bar changes every day
    Case("kline_weekly", ("empty:kline-all",), CODES, "success without"),
    Case("kline_weekly", ("short:kline-all:keep=1",), CODES, "Nothing was overwritten"),
    Case("kline_weekly", (f"timeout:*:code={STOCK}",), frozenset({STOCK}), "超时"),
    Case("kline_weekly", ("duplicate:kline-all:page=2",)),
    Case("kline_weekly", ("holiday:kline-all",), rejected="the exchange was closed on this day"),
    # as minutes, but nothing stands in for bars of five
    Case("kline_5m", ("error:kline-history",), said="/api/kline-history → /api/kline-all"),
    Case(
        "kline_5m",
        ("short:kline-history:keep=10", "short:kline-all:keep=10"),
        CODES,
        "no bars for",
    ),
    Case("kline_5m", ("noon-label:kline-history",)),
    Case("kline_5m", ("descending:kline-history",)),
    Case("kline_5m", (f"timeout:*:code={STOCK}",), frozenset({STOCK}), "超时"),
    # a foreign page: it may be gone, cut, or no longer adjusted, which only a comparison shows
    Case("kline_adjusted", ("ths-down:kline-all/ths",), CODES, "kline-all/ths"),
    Case("kline_adjusted", ("empty:kline-all/ths",), CODES, "success without"),
    Case("kline_adjusted", ("short:kline-all/ths:keep=10",), CODES, "Nothing was overwritten"),
    Case("kline_adjusted", ("ths-unadjusted",), unchecked=True),
    Case("kline_adjusted", ("ths-missing-action:kline-all/ths",), unchecked=True),
    Case("kline_adjusted", (f"cut:kline-all/ths:code={STOCK}",), frozenset({STOCK}), "broke"),
)


@dataclass
class Stages:
    """Warehouses on two days.

    `before`: the day before, with every dataset; `today`: with the new day's day bars too;
    `after`: with all of the new day, undisturbed.
    """

    market: SyntheticMarket
    copy: Callable[[str], str]
    before: str = ""
    today: str = ""
    after: str = ""

    @contextmanager
    def opened(self, dsn: str, home: Path, **options: Any) -> Iterator[Bench]:
        tdx = {"minute_days": 2, "tick_days": 2, "retries": 1}
        with bench(self.market, dsn, home, **(tdx | options)) as made:
            yield made


@pytest.fixture(scope="module")
def stages(new_database: Callable[..., str], tmp_path_factory: pytest.TempPathFactory) -> Stages:
    market = SyntheticMarket(codes=6, days=40, seed=5)
    made = Stages(market, lambda dsn: new_database(template=dsn))

    def loaded(dsn: str, clock: date, *datasets: str) -> str:
        with made.opened(dsn, tmp_path_factory.mktemp("stage"), clock=clock) as loads:
            result = loads.load(datasets=datasets, options={"exchange": EXCHANGE})
            assert result.exit_code == 0, failure_text(loads, result)
        return dsn

    *_, yesterday, today = (day for day in market.days if day <= market.end.date())
    made.before = loaded(new_database(), yesterday, *CORE, *TABLES)
    made.today = loaded(made.copy(made.before), today, "kline_daily")
    made.after = loaded(made.copy(made.today), today, *TABLES)
    return made


@pytest.fixture(scope="module")
def undisturbed(stages: Stages, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Rows]:
    """What each dataset holds after the new day."""
    with stages.opened(stages.after, tmp_path_factory.mktemp("after")) as loads:
        return {dataset: stored(loads, dataset) for dataset in TABLES}


def stored(loads: Bench, dataset: str) -> Rows:
    """The rows and published cursors of a dataset, apart from when and how they came."""
    table, _ = TABLES[dataset]
    period = SOURCE.dataset(dataset).keys.part
    apart = ["_dlt_load_id", "file_no", "fetched_at", "source_route", "route_no", "source_label"]
    stored_rows = loads.rows(
        f"select (to_jsonb(t) - %s::text[])::text from raw_tdx.{table.name} as t "
        "where %s::text is null or to_jsonb(t) ->> 'period' = %s",
        apart,
        period,
        period,
    )
    rows = [json.loads(row) for (row,) in stored_rows]
    cursors = loads.rows(
        "select key, last_success_date from ops.ingestion_state where dataset = %s", dataset
    )
    return {tuple(row[name] for name in table.key): row for row in rows} | {
        ("cursor", key): {"date": str(day)} for key, day in cursors
    }


def owner(dataset: str, key: tuple[Any, ...]) -> str:
    """The key of the load that a row or a cursor belongs to."""
    if dataset in STAND_ALONE:
        return str(SOURCE.dataset(dataset).keys.only)
    if key[0] == "cursor":
        return str(key[1]) if dataset == "index_kline" else str(key[1]).partition(" ")[0]
    if dataset == "index_kline" and key[1] != "day":
        return f"{key[0]} {key[1]}"
    return str(key[0])


def failures(result: LoadResult, dataset: str) -> set[str]:
    """The keys that failed, those of tasks which never began among them."""
    tasks = [task for task in result.tasks if task.dataset == dataset]
    unbegun = {key for t in tasks if t.status == "failed" and not t.failures for key in t.keys}
    return unbegun.union(*(t.failures for t in tasks))


def failure_text(loads: Bench, result: LoadResult) -> str:
    """Failures, and the other ways in the job's log."""
    ways = loads.rows(
        "select detail::text from ops.ingestion_logs where event like '%%another route was used%%'"
    )
    failed = [why for task in result.tasks for why in task.failures.values()]
    return "\n".join([*failed, *(json.dumps(json.loads(w), ensure_ascii=False) for (w,) in ways)])


def assert_nothing_lost(rows_now: Rows, before: Rows, expected: Rows) -> None:
    """Each earlier row is there, as it was or as it will be; a provisional one may differ."""
    for key, row in before.items():
        now = rows_now.get(key)
        good = now in (row, expected.get(key)) or (now and not row.get("is_final", True))
        assert good, f"{key} was {row} and is {now}"


def assert_same(rows_now: Rows, expected: Rows) -> None:
    for key in rows_now.keys() | expected.keys():
        assert rows_now.get(key) == expected.get(key), key


def test_every_fault_of_the_service_has_a_case() -> None:
    # faults of packages have their cases beside the loads of packages
    kinds = {name for name, kind in KINDS.items() if kind.routes != ("g4day",)}
    assert {fault.partition(":")[0] for case in CASES for fault in case.faults} == kinds


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_fault_costs_what_it_names_and_nothing_after_the_next_load(
    stages: Stages, undisturbed: dict[str, Rows], tmp_path: Path, case: Case
) -> None:
    expected = undisturbed[case.dataset]
    start = stages.before if case.dataset in FIRST else stages.today
    patience = next((p for kind, p in PATIENCE.items() if case.faults[0].startswith(kind)), {})
    with stages.opened(stages.copy(start), tmp_path, faults=case.faults, **patience) as loads:
        before = stored(loads, case.dataset)
        loads.execute("truncate ops.ingestion_logs")
        result = loads.load(datasets=(case.dataset,), options={"exchange": EXCHANGE})

        assert any(entry.faults for entry in loads.sandbox.log)
        failed = failures(result, case.dataset)
        assert case.failed is None or failed == case.failed, failure_text(loads, result)
        assert bool(failed) == (case.failed != frozenset())
        assert bool(result.exit_code) == bool(failed)
        assert case.said in failure_text(loads, result)
        rules = {row[0] for row in loads.rows("select rule from raw_tdx.rejected_row")}
        assert rules == ({case.rejected} if case.rejected else set())
        rows_now = stored(loads, case.dataset)
        if not case.unchecked:
            assert_nothing_lost(rows_now, before, expected)
        if case.late or case.unchecked:
            assert rows_now != expected
        else:
            common, right = (
                {k: row for k, row in rows.items() if owner(case.dataset, k) not in failed}
                for rows in (rows_now, expected)
            )
            assert_same(common, right)
            if not failed:
                return

        loads.sandbox.faults.clear()
        mode = "init" if case.unchecked else "incremental"
        again = loads.load(
            retry=bool(failed), datasets=(case.dataset,), options={"exchange": EXCHANGE}, mode=mode
        )
        assert again.exit_code == 0, failure_text(loads, again)
        assert_same(stored(loads, case.dataset), expected)


def test_a_retry_loads_minutes_and_ticks_of_a_code_without_day_bars(
    stages: Stages, undisturbed: dict[str, Rows], tmp_path: Path
) -> None:
    dependent = ("minute_1m", "tick_trade")
    faults = [f"error:kline-all:code={STOCK}"]
    with stages.opened(stages.copy(stages.before), tmp_path, faults=faults) as loads:
        result = loads.load(datasets=("kline_daily", *dependent), options={"exchange": EXCHANGE})
        assert failures(result, "kline_daily") == {STOCK}
        assert result.exit_code == 6
        for dataset in dependent:
            assert stored(loads, dataset) != undisturbed[dataset]

        loads.sandbox.faults.clear()
        again = loads.load(retry=True)
        assert again.exit_code == 0, failure_text(loads, again)
        for dataset in dependent:
            assert_same(stored(loads, dataset), undisturbed[dataset])
