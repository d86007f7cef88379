"""Compare a sample of built bars with other sources for the same days.

    sample ▶ load evidence (ordinary loads) ▶ record run and sample ▶ build qa.reconciliation ▶ read

Evidence is: the service's own weeks, months and parts of a day; the third party's adjusted days.
The dbt models decide what is compared and which cause is likely. Nothing is recorded before the
evidence is loaded. The service's adjustment factors are compared without being stored.
"""

import random
from calendar import monthrange
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any

import psycopg

from loaders import loads, trading_time
from loaders.check import Check, failed
from loaders.engine.request import LoadRequest
from loaders.loads import Display
from loaders.settings import Settings
from orchestration.checks import bar_comparison, factors
from orchestration.checks.bar_comparison import Comparison
from orchestration.run import build as builds
from orchestration.run.build_progress import stoppable
from orchestration.run.build_result import BuildResult
from quotemill.errors import (
    DataQualityError,
    PartialError,
    QuotemillError,
    UpstreamError,
    UsageError,
    most_severe,
)
from quotemill.warehouse.postgres import Warehouse

SOURCE = "tdx"
PARTS_OF_A_DAY = ("kline_5m", "kline_15m", "kline_30m", "kline_60m")
MONTH_DATASETS = ("kline_weekly", "kline_monthly", *PARTS_OF_A_DAY)
ADJUSTED = "kline_adjusted"
MODELS = ("reconciliation", "reconciliation_counts")
FAILING = ("error", "warning")
RANK = {"error": 0, "warning": 1, "info": 2}


@dataclass(frozen=True)
class Request:
    """Bars to compare.

    month   first day of the month; None: the newest whole month
    sample  number of codes
    seed    of the sample; None: a random one
    codes   codes to compare instead of a sample
    """

    month: date | None = None
    sample: int = 20
    seed: int | None = None
    codes: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Reconciliation:
    """Result of one run; `not_loaded` is why evidence is missing, by dataset and code."""

    run_id: int
    as_of: datetime
    month: date
    last_date: date
    seed: int
    codes: tuple[str, ...]
    candidates: int
    comparisons: tuple[Comparison, ...]
    differences: tuple[dict[str, Any], ...]
    not_loaded: Mapping[str, Mapping[str, str]]
    factors: Check

    @property
    def exit_code(self) -> int:
        codes = []
        if self.factors.verdict == "warn" or any(
            d["severity"] in FAILING for d in self.differences
        ):
            codes.append(DataQualityError.exit_code)
        if self.not_loaded:
            codes.append(PartialError.exit_code)
        return most_severe(codes)

    def as_json(self) -> dict[str, Any]:
        checks = [check.as_json() for check in self.checks]
        return asdict(self) | {"checks": checks, "exit_code": self.exit_code}

    @property
    def checks(self) -> Iterator[Check]:
        """Bars by check, differences by likely cause, the most severe first, missing evidence."""
        yield from (comparison.check for comparison in self.comparisons)
        yield self.factors
        groups: dict[tuple[int, str, str], list[str]] = {}
        for d in self.differences:
            key = RANK[d["severity"]], d["severity"], d["likely_cause"]
            groups.setdefault(key, []).append(d["code"])
        for (_, severity, cause), codes in sorted(groups.items()):
            named = sorted(set(codes))
            yield bar_comparison.describe_cause(self.run_id, severity, cause, len(codes), named)
        for dataset, by_code in self.not_loaded.items():
            reasons = "; ".join(sorted(set(by_code.values())))
            text = f"not loaded: {dataset}: {', '.join(sorted(by_code))}: {reasons}"
            yield failed("evidence", PartialError(text, hint="Run `loaders check tdx`."))


def run(
    settings: Settings,
    warehouse: Warehouse,
    request: Request,
    display: Display,
    report: Callable[[str], None],
    *,
    as_of: datetime | None = None,
) -> Reconciliation:
    """Sample, load evidence, build and read the differences.

    `as_of` replaces the clock. Raises UsageError if nothing can be compared, UpstreamError
    without any evidence.
    """
    now = as_of or datetime.now(UTC)
    with warehouse.connect() as conn:
        month = request.month or find_newest_whole_month(conn)
        last = last_day(month)
        candidates = list_traded(conn, month, last)
    seed = request.seed if request.seed is not None else random.SystemRandom().randrange(2**31)
    codes = choose_codes(candidates, request, seed, month)
    report(
        f"reconcile: {month:%Y-%m}, {len(codes)} of {len(candidates)} codes, seed {seed}: "
        + ", ".join(codes)
    )
    not_loaded = load_evidence(settings, codes, month, last, display, as_of)
    witness, unread = factors.read_factors(settings, codes)
    if unread:
        not_loaded[factors.NAME] = unread
    shown = partial(stoppable, display)
    _must_succeed(builds.build(settings, warehouse, shown, only_touched=True), "quotemill build")
    with warehouse.connect() as conn:
        run_id = record(conn, codes, month, last)
    built = builds.build(settings, warehouse, shown, arguments=["--select", *MODELS])
    _must_succeed(built, f"quotemill dbt build --select {' '.join(MODELS)}")
    with warehouse.connect() as conn:
        qa = warehouse.inner_schema("qa")
        comparisons, differences = bar_comparison.read_bars(conn, run_id, qa=qa)
    return Reconciliation(
        run_id,
        as_of=now.astimezone(UTC),
        month=month,
        last_date=last,
        seed=seed,
        codes=codes,
        candidates=len(candidates),
        comparisons=comparisons,
        differences=differences,
        not_loaded=not_loaded,
        factors=factors.compare(warehouse, witness, month, last),
    )


def _must_succeed(built: BuildResult | None, command: str) -> None:
    """Raise the error of a failed build: DataQualityError if tests failed."""
    if built is None or built.succeeded:
        return
    kind = DataQualityError if built.tests_failed else QuotemillError
    raise kind(f"the build failed, so nothing was compared: {built.failures}", hint=command)


def find_newest_whole_month(conn: psycopg.Connection) -> date:
    """First day of the newest month whose last trading day is stored.

    Raises UsageError.
    """
    [(newest, oldest)] = conn.execute(
        "select max(trade_date), min(trade_date) from raw_tdx.kline_daily where is_final"
    )
    if newest is None:
        raise UsageError("there are no day bars to compare", hint="Run `quotemill run`.")
    month: date = newest.replace(day=1)
    if newest < last_trading_day(month):
        month = (month - timedelta(days=1)).replace(day=1)
    if last_trading_day(month) < oldest:
        raise UsageError(
            f"no whole month is stored: the day bars run from {oldest} to {newest}",
            hint=f"Compare the stored days with --month {newest:%Y-%m}.",
        )
    return month


def last_day(month: date) -> date:
    return month.replace(day=monthrange(month.year, month.month)[1])


def last_trading_day(month: date) -> date:
    return trading_time.published_days(month, last_day(month))[-1]


def list_traded(conn: psycopg.Connection, first: date, last: date) -> list[str]:
    """Listed stocks and funds with a final day bar between two days, ascending."""
    rows = conn.execute(
        """
        select s.code from raw_tdx.security as s
        where s.is_listed and s.instrument_type <> 'index' and exists (
            select 1 from raw_tdx.kline_daily as k
            where k.code = s.code and k.is_final and k.trade_date between %s and %s
        )
        order by s.code
        """,
        (first, last),
    )
    return [code for (code,) in rows]


def choose_codes(
    candidates: Sequence[str], request: Request, seed: int, month: date
) -> tuple[str, ...]:
    """Choose the requested codes, or a sample that depends on the seed.

    Raises UsageError.
    """
    if request.codes is not None:
        if not request.codes:
            raise UsageError("--codes is empty", hint="Write --codes sh600000,sz000001.")
        unknown = sorted(set(request.codes) - set(candidates))
        if unknown:
            raise UsageError(
                f"no day bars of {month:%Y-%m} for {', '.join(unknown)}",
                hint="Choose stocks or funds that traded in the month.",
            )
        return tuple(sorted(set(request.codes)))
    if not candidates:
        raise UsageError(f"no day bars of {month:%Y-%m}", hint="Run `quotemill run`.")
    count = min(request.sample, len(candidates))
    return tuple(sorted(random.Random(seed).sample(list(candidates), count)))


def load_evidence(
    settings: Settings,
    codes: Sequence[str],
    first: date,
    last: date,
    display: Display,
    as_of: datetime | None,
) -> dict[str, dict[str, str]]:
    """Load the evidence for the codes; return the failures by dataset and code.

    The third party's series is read whole: a missing action shows on the days before it. Raises
    UpstreamError if a load fails or no evidence is loaded, PartialError if it was stopped.
    """
    requests = (
        LoadRequest(SOURCE, datasets=MONTH_DATASETS, keys=tuple(codes), since=first, until=last),
        LoadRequest(SOURCE, mode="init", datasets=(ADJUSTED,), keys=tuple(codes)),
    )
    missing: dict[str, dict[str, str]] = {}
    for request in requests:
        result = loads.load_with_progress(settings, request, display, as_of=as_of)
        if result.status == "cancelled":
            raise PartialError("stopped: nothing was compared", hint="Run again.")
        if result.error is not None:
            raise UpstreamError(result.error, hint=result.hint)
        for task in result.tasks:
            if task.failures and task.dataset in (request.datasets or ()):
                missing.setdefault(task.dataset, {}).update(task.failures)
    requested = {(dataset, code) for dataset in (*MONTH_DATASETS, ADJUSTED) for code in codes}
    if requested <= {(dataset, code) for dataset, by_code in missing.items() for code in by_code}:
        reason = next(iter(missing[ADJUSTED].values()))
        raise UpstreamError(
            f"no evidence could be loaded: {reason}", hint="Run `loaders check tdx`."
        )
    return missing


def record(conn: psycopg.Connection, codes: Sequence[str], first: date, last: date) -> int:
    """Record which days of which codes the models compare; return the number of the run."""
    [(run_id,)] = conn.execute(
        """
        insert into ops.settings as s values (
            'reconciliation:newest',
            jsonb_build_object(
                'run_id', 1, 'codes', %s::text[], 'first_date', %s::date, 'last_date', %s::date
            )::text
        )
        on conflict (key) do update set value = jsonb_set(
            excluded.value::jsonb,
            '{run_id}',
            to_jsonb((s.value::jsonb ->> 'run_id')::bigint + 1)
        )::text
        returning value::jsonb ->> 'run_id'
        """,
        (list(codes), first, last),
    )
    return int(run_id)
