"""Everything that the page shows, read once."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any, TypeVar

import psycopg
from psycopg.rows import dict_row

from loaders import sources
from loaders.engine.check import Check
from loaders.settings import Settings
from orchestration.checks import status
from orchestration.checks.status import Status
from orchestration.report import coverage, runs, space
from orchestration.report.grid import Grid
from orchestration.report.runs import Runs
from orchestration.report.space import Space
from orchestration.run import findings
from orchestration.run.findings import Finding
from quotemill.warehouse.postgres import Warehouse
from quotemill.warehouse.schemas import has_relation

T = TypeVar("T")
SHOWN = 20  # findings listed for each check
YEAR = timedelta(days=365)  # some 250 trading days
VERDICTS = 40  # failed sessions of symbols, the newest
SMILES = 4  # underlyings, as many as a chart tells apart


@dataclass(frozen=True)
class FindingGroup:
    """Findings of a check and severity.

    `count` is of all, `new` and `acknowledged` are parts of it; `shown` are the first few.
    """

    check: str
    severity: str
    count: int
    new: int
    acknowledged: int
    shown: tuple[Finding, ...]


@dataclass(frozen=True)
class Report:
    """What the page shows, judged as of `as_of`.

    `verdicts` are sessions of option chains that failed; `smiles` the volatilities of the newest
    quotes of some underlyings by expiry, `option_days` figures of their sessions.
    """

    as_of: datetime
    since: date
    warehouse: str
    status: Status
    runs: Runs
    grids: tuple[Grid, ...]
    findings: tuple[FindingGroup, ...]
    verdicts: tuple[Mapping[str, Any], ...]
    smiles: tuple[Mapping[str, Any], ...]
    option_days: tuple[Mapping[str, Any], ...]
    space: Space | None


def gather(
    settings: Settings, warehouse: Warehouse | None, since: date | None, as_of: datetime | None
) -> Report:
    """Read everything; works with an empty warehouse, and without one.

    Without `since` the window is the year up to the newest data: a folder that was copied years ago
    still shows what it holds.
    """
    now = (as_of or datetime.now(UTC)).astimezone(UTC)
    state = status.read(warehouse, 5, as_of.isoformat() if as_of else None, settings)
    newest = max((row["last_date"] for row in state.freshness if row["last_date"]), default=None)
    until = now.date() if newest is None or since else min(newest, now.date())
    since = since or until - YEAR
    if warehouse is None:
        return Report(now, since, "none yet", state, Runs(), (), (), (), (), (), None)
    with warehouse.connect() as conn:
        conn.execute("set transaction isolation level repeatable read, read only")
        # the whole market has 650,000 groups of a code and a column: keep them off the disk
        conn.execute("set local work_mem = '64MB'")
        if as_of:
            conn.execute("select set_config('quotemill.as_of', %s, false)", (as_of.isoformat(),))
        options = warehouse.inner_schema("options")
        qa = warehouse.inner_schema("qa")

        def read_apart(what: str, read: Callable[[], list[T]]) -> list[T]:
            """Rows of a part; one that cannot be read is a problem, and costs no other part."""
            try:
                with conn.transaction():
                    return read()
            except psycopg.Error as error:
                if conn.closed:
                    raise
                reason = " ".join(str(error).split())
                text = f"{what} cannot be read: {reason}"
                state.problems.append(Check("report", "warn", text, "quotemill findings"))
                return []

        def read_grids(source: str) -> list[Grid]:
            return coverage.grids(
                conn, warehouse, settings, since, now, state.freshness, until, [source]
            )

        smiles = read_apart(
            "volatilities of options", lambda: _read_smiles(conn, options, since, now)
        )
        symbols = list(dict.fromkeys(row["symbol"] for row in smiles))
        option_days = read_apart(
            "sessions of options",
            lambda: _read_option_days(conn, options, since, now, symbols),
        )
        verdicts = read_apart("verdicts on options", lambda: _read_verdicts(conn, qa, since, now))
        grids: list[Grid] = []
        for name in sources.MODULES:
            grids += read_apart(f"coverage of {name}", partial(read_grids, name))
        return Report(
            as_of=now,
            since=since,
            warehouse=warehouse.label,
            status=state,
            runs=runs.read(conn, datetime.combine(since, datetime.min.time(), UTC), now),
            grids=tuple(grids),
            findings=_group_findings(state.findings),
            verdicts=tuple(verdicts),
            smiles=tuple(smiles),
            option_days=tuple(option_days),
            space=space.read(conn, settings),
        )


def _group_findings(listed: Sequence[Finding]) -> tuple[FindingGroup, ...]:
    """Findings by severity, most severe first, then by check, as they are listed."""
    groups: dict[tuple[str, str], list[Finding]] = {}
    for finding in listed:
        groups.setdefault((finding.severity, finding.check_name), []).append(finding)
    return tuple(_summarize(check, name, group) for (name, check), group in groups.items())


def _summarize(check: str, severity: str, group: list[Finding]) -> FindingGroup:
    """Count a group; its first findings are the new ones, then those of the newest days."""
    counts = Counter(finding.state for finding in group)
    group.sort(key=lambda f: f.trade_date or date.max, reverse=True)
    group.sort(key=lambda f: findings.STATES.index(f.state))
    return FindingGroup(
        check=check,
        severity=severity,
        count=len(group),
        new=counts["new"],
        acknowledged=counts["acknowledged"],
        shown=tuple(group[:SHOWN]),
    )


def _read_verdicts(
    conn: psycopg.Connection, qa: str, since: date, as_of: datetime
) -> list[dict[str, Any]]:
    if not has_relation(conn, f"{qa}.qa_option_day"):
        return []
    query = f"""
        select symbol, trade_date, coverage_verdict, delayed_verdict, fallback_verdict, oi_verdict,
            integrity_verdict, lag_verdict, slot_coverage, delayed_share, fallback_share, oi_share
        from {qa}.qa_option_day
        where verdict = 'fail' and trade_date >= %s
            and trade_date <= (%s at time zone 'America/New_York')::date
        order by trade_date desc, symbol limit {VERDICTS}
    """
    with conn.cursor(row_factory=dict_row) as cur:
        return cur.execute(query.encode(), (since, as_of)).fetchall()


def _read_smiles(
    conn: psycopg.Connection, options: str, since: date, as_of: datetime
) -> list[dict[str, Any]]:
    """Rows by underlying and expiry of the newest session: those with most quotes, at their last.

    Of slot and close view at the same time the slot, when both markets were open.
    """
    if not has_relation(conn, f"{options}.skew_25delta"):
        return []
    query = f"""
        with quoted as (
            select symbol, trade_date, sample_time, trading_class, expiry, dte, quote_count, atm_iv,
                put_25delta_iv, call_25delta_iv, skew,
                rank() over (
                    partition by symbol order by sample_time desc, rollup_source_view desc
                ) as age
            from {options}.atm_term_structure
            left join (
                select symbol, trade_date, rollup_source_view, sample_time, trading_class, expiry,
                    put_25delta_iv, call_25delta_iv, skew
                from {options}.skew_25delta
            ) as wings
            using (symbol, trade_date, rollup_source_view, sample_time, trading_class, expiry)
            where sample_time <= %(as_of)s and trade_date = (
                select max(trade_date) from {options}.forwards
                where trade_date >= %(since)s and sample_time <= %(as_of)s
            )
        )
        select * from quoted
        where age = 1 and symbol in (
            select symbol from quoted where age = 1
            group by symbol order by sum(quote_count) desc, symbol limit {SMILES}
        )
        order by symbol, expiry, trading_class
    """
    with conn.cursor(row_factory=dict_row) as cur:
        return cur.execute(query.encode(), {"since": since, "as_of": as_of}).fetchall()


def _read_option_days(
    conn: psycopg.Connection, options: str, since: date, as_of: datetime, symbols: Sequence[str]
) -> list[dict[str, Any]]:
    """Rows by underlying and session, the newest first: volatilities of its last quotes, ratios."""
    if not symbols:
        return []
    query = f"""
        select symbol, trade_date, iv_30, iv_60, iv_90, volume_ratio, open_interest_ratio
        from {options}.put_call_ratios
        left join (
            select symbol, trade_date, max(iv) filter (where days = 30) as iv_30,
                max(iv) filter (where days = 60) as iv_60, max(iv) filter (where days = 90) as iv_90
            from (
                select distinct on (symbol, trade_date, days) symbol, trade_date, days, iv
                from {options}.constant_maturity_iv
                where trade_date >= %(since)s and sample_time <= %(as_of)s
                    and symbol = any(%(symbols)s)
                order by symbol, trade_date, days, sample_time desc, rollup_source_view desc
            ) as last_quotes
            group by symbol, trade_date
        ) as maturities using (symbol, trade_date)
        where trade_date >= %(since)s and symbol = any(%(symbols)s)
            and trade_date <= (%(as_of)s at time zone 'America/New_York')::date
        order by symbol, trade_date desc
    """
    with conn.cursor(row_factory=dict_row) as cur:
        given = {"since": since, "as_of": as_of, "symbols": symbols}
        return cur.execute(query.encode(), given).fetchall()
