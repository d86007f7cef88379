"""Daily checks of option chains: whether a session passes, and which symbols fail.

They are the figures of qa.qa_option_day, of each symbol and of the groups that symbols run in, four
comparisons of the day's tables, the exceptions of the day's log, and the storage: disk, archive
and retention.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import psycopg
from psycopg.rows import dict_row

from loaders.check import Check
from loaders.ib.contracts import universe
from loaders.ib.settings import IbSettings
from loaders.ib.slots import at_new_york
from loaders.settings import Settings
from loaders.warehouse.sql_files import read_sql
from orchestration.archive.closed import require_chains
from orchestration.checks import logscan, storage
from orchestration.checks.place import set_time
from quotemill.errors import SettingsError, UsageError
from quotemill.warehouse.postgres import Warehouse

PASS, FAIL, PENDING = "PASS", "FAIL", "PENDING"
_LOGS = ("ib", "dbt", "-")  # of the loads, of the builds, of what ended before it had a source
WORDS = {"ok": PASS, "warn": FAIL, "fail": FAIL, "unknown": PENDING}
# by verdicts of qa.qa_option_day
_VERDICTS = {"pass": "ok", "fail": "fail", "pending": "unknown"}
_FIGURES = {
    "coverage": ("slot_coverage", "covered_slot_count", "slot_count", "uncovered_slots"),
    "delayed": ("delayed_share", "delayed_count", "data_count"),
    "fallback": (
        "fallback_share",
        "daily_count",
        "close_count",
        "slot_before_count",
        "last_good_count",
        "unresolved_count",
    ),
    "lag": ("capture_lag_p95_s", "late_count"),
    "oi": ("oi_share", "oi_count", "oi_eligible_count"),
    "integrity": (
        "out_of_range_count",
        "duplicate_count",
        "unknown_flag_count",
        "given_up_count",
        "guessed_count",
        "source_count",
    ),
}
# delayed rows are flagged; a close has the time of the close; every row of the day was captured
_COMPARED = {
    "types": """
        select symbol, count(*) filter (where is_slot) as row_count,
            count(*) filter (where is_slot and is_flagged) as delayed_count,
            count(*) filter (where is_delayed and not is_flagged) as unflagged_count
        from (
            select symbol, true as is_slot, market_data_type in (3, 4) as is_delayed,
                'delayed_fallback' = any(data_quality_flag) as is_flagged
            from {options}.chain_intraday where trade_date = %(day)s and not snapshot_error
            union all
            select symbol, false, market_data_type in (3, 4),
                'delayed_fallback' = any(data_quality_flag)
            from {staging}.stg_ib__chain_close where trade_date = %(day)s and not snapshot_error
        ) as captured
        group by symbol
    """,
    "rollup_time": """
        select d.symbol, count(*) as close_count,
            count(*) filter (where d.rollup_source_time <> s.close_at) as elsewhere_count
        from {options}.chain_daily_clean as d
        inner join {options}.sessions as s on d.trade_date = s.trade_date
        where d.trade_date = %(day)s and d.rollup_strategy = 'close'
        group by d.symbol
    """,
    "rows": read_sql(__package__, "selfcheck_rows"),
    "open_interest": read_sql(__package__, "selfcheck_open_interest"),
}
_WRONG = {
    "types": ("unflagged_count",),
    "rollup_time": ("elsewhere_count",),
    "rows": ("unseen_count", "lost_count"),
}
_FLAGS = """
    select flag, count(*) as row_count
    from {options}.chain_daily_clean as d cross join unnest(d.data_quality_flag) as flag
    where trade_date = %(day)s group by flag order by 2 desc, 1
"""


@dataclass(frozen=True)
class Selfcheck:
    """Result of all checks; the subject of a check is its symbol.

    trade_date  the session; None before the first one is over
    flags       rows of the day by flag
    """

    trade_date: date | None
    checks: list[Check]
    flags: dict[str, int]

    @property
    def status(self) -> str:
        """FAIL if a check fails or no symbol has any, else PENDING, else PASS."""
        if self.failed or not any(check.subject for check in self.checks):
            return FAIL
        return PENDING if any(check.verdict == "unknown" for check in self.checks) else PASS

    @property
    def failed(self) -> list[Check]:
        return [check for check in self.checks if WORDS[check.verdict] == FAIL]

    def keep_figures(self) -> "Selfcheck":
        """The same with the figures of qa.qa_option_day alone."""
        return replace(self, checks=[check for check in self.checks if check.name in _FIGURES])

    def as_json(self) -> dict[str, Any]:
        checks = [
            check.as_json()
            | {
                "symbol": check.subject,
                "status": WORDS[check.verdict],
                "figures": check.figures,
            }
            for check in self.checks
        ]
        return {
            "status": self.status,
            "trade_date": self.trade_date,
            "checks": checks,
            "flags": self.flags,
        }


def run(
    warehouse: Warehouse,
    day: date | None,
    as_of: datetime | None = None,
    settings: Settings | None = None,
) -> Selfcheck:
    """Check a session, by default the newest one that is over.

    A session is over at 17:30 in New York; one without a row fails. Where `ib.clock` is the
    gateway's, a sandbox's, it is as late as in the newest load unless `as_of` says it. With
    `settings` also check the storage. Raises UsageError for a day without a session, and before the
    first build.
    """
    schemas = {
        "qa": warehouse.inner_schema("qa"),
        "options": warehouse.inner_schema("options"),
        "staging": warehouse.inner_schema("quotemill_staging"),
    }
    with warehouse.connect() as conn:
        require_chains(conn, f"{schemas['qa']}.qa_option_day")
        if as_of is None and settings is not None and settings.ib.clock == "gateway":
            as_of = _read_gateway_time(conn)
        set_time(conn, as_of)
        day = _find_session(conn, schemas["options"], day, as_of)
        now = as_of or datetime.now(UTC)
        storage_checks = (
            list(storage.check(conn, warehouse, settings, now)) if settings is not None else []
        )
        if day is None:
            return Selfcheck(None, storage_checks, {})
        verdicts, others = _read_verdicts(conn, schemas, day)
        ib = settings.ib if settings is not None else IbSettings()
        values = {
            "day": day,
            "window": ib.slot_window_minutes,
            "reader": f"{schemas['options']}.chain_daily_clean",
        }
        checks = [*verdicts, *_compare_tables(conn, schemas, values, others)]
        flags = conn.execute(_FLAGS.format(**schemas).encode(), {"day": day}).fetchall()
    if settings is not None:
        checks += [*_judge_groups(ib, verdicts), _count_exceptions(settings, day), *storage_checks]
    return Selfcheck(day, checks, dict(flags))


def _judge_groups(ib: IbSettings, verdicts: Sequence[Check]) -> Iterator[Check]:
    """The slowest symbol's lag and the delayed share of each group, where symbols run in several.

    A group has its batches one after another.
    """
    groups: list[tuple[str, ...]] = []
    with contextlib.suppress(SettingsError):  # a load says what is wrong with the universe
        groups = universe.groups(ib, None)
    for number, symbols in enumerate(groups if len(groups) > 1 else (), 1):
        own = [check for check in verdicts if check.subject in symbols]
        lags = [c.figures["capture_lag_p95_s"] for c in own if c.name == "lag"]
        delayed = [c.figures for c in own if c.name == "delayed"]
        rows = sum(figures["data_count"] for figures in delayed)
        if not rows:
            continue
        lag = max(lag for lag in lags if lag is not None)
        share = sum(figures["delayed_count"] for figures in delayed) / rows
        passes = lag <= ib.max_capture_lag_seconds and (
            share < ib.max_delayed_share or share == ib.max_delayed_share == 1
        )
        figures = {
            "symbols": ",".join(symbols),
            "capture_lag_p95_s": lag,
            "delayed_share": round(share, 4),
        }
        yield Check(f"group {number}", "ok" if passes else "fail", figures=figures)


def _count_exceptions(settings: Settings, day: date) -> Check:
    """Exceptions in the log of a day in New York that nothing explained."""
    since, until = (at_new_york(at, time()) for at in (day, day + timedelta(days=1)))
    scan = logscan.run(settings.home / "logs", since, until, is_day=True)
    hits = scan.keywords.get(logscan.TRACEBACK)
    counts = {name: n for name, n in (hits.by_source if hits else {}).items() if name in _LOGS}
    figures = {
        "line_count": scan.lines,
        "exception_count": sum(counts.values()),
        "last": hits.last if hits and counts else None,
    }
    return Check("exceptions", "fail" if counts else "ok", figures=figures)


def _read_gateway_time(conn: psycopg.Connection) -> datetime | None:
    """The newest time at which a gateway whose clock is the loads' was asked."""
    [(newest,)] = conn.execute(
        "select greatest((select max(finished_at) from raw_ib.slot_run), "
        "(select max(attempted_at) from raw_ib.enrichment))"
    ).fetchall()
    return newest if isinstance(newest, datetime) else None


def _find_session(
    conn: psycopg.Connection, options: str, day: date | None, as_of: datetime | None
) -> date | None:
    if day is not None:
        known = f"select 1 from {options}.sessions where trade_date = %s"
        if conn.execute(known.encode(), (day,)).fetchone() is None:
            raise UsageError(f"not a session: {day}", hint="Choose a trading day with --date.")
        return day
    newest = (
        f"select max(trade_date) from {options}.sessions where "
        "(trade_date + time '17:30') at time zone 'America/New_York' <= coalesce(%s, now())"
    )
    [(newest_day,)] = conn.execute(newest.encode(), (as_of,)).fetchall()
    return newest_day if isinstance(newest_day, date) else None


def _read_verdicts(
    conn: psycopg.Connection, schemas: Mapping[str, str], day: date
) -> tuple[list[Check], set[str]]:
    """The verdicts of a session, and the symbols that were left out of them."""
    query = f"select * from {schemas['qa']}.qa_option_day where trade_date = %s order by symbol"
    rows = conn.cursor(row_factory=dict_row).execute(query.encode(), (day,)).fetchall()
    # a symbol that was tried beside the stage is judged only where there is no other
    judged = [row for row in rows if row.get("is_in_universe", True)] or rows
    checks = [
        Check(
            name,
            _VERDICTS[row[f"{name}_verdict"]],
            subject=row["symbol"],
            figures={figure: row[figure] for figure in figures},
        )
        for row in judged
        for name, figures in _FIGURES.items()
    ]
    return checks, {row["symbol"] for row in rows} - {row["symbol"] for row in judged}


def _compare_tables(
    conn: psycopg.Connection,
    schemas: Mapping[str, str],
    values: Mapping[str, Any],
    left_out: set[str],
) -> list[Check]:
    """The comparisons of a day's tables; `values` are the day, and minutes that a slot lasts."""
    checks = []
    for name, query in _COMPARED.items():
        rows = conn.cursor(row_factory=dict_row).execute(query.format(**schemas).encode(), values)
        for row in sorted(rows, key=lambda row: str(row["symbol"])):
            if row["symbol"] in left_out:
                continue
            status = _judge_interest(row) if name == "open_interest" else "ok"
            if any(row[figure] for figure in _WRONG.get(name, ())):
                status = "fail"
            checks.append(Check(name, status, subject=row.pop("symbol"), figures=row))
    return checks


def _judge_interest(row: Mapping[str, Any]) -> str:
    if row["gained_count"] == row["lost_count"] == row["filled_count"]:
        return "ok"
    return "unknown" if row["is_unread"] else "fail"
