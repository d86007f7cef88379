"""The self-test of the service: 31 checks, one for each route, and their results.

The calendar comes first, because many checks need the previous trading day; its result keeps its
place in the report. Every task that a check starts in the service is cancelled, also after an
error or Ctrl-C.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Any

from loaders.engine.progress import Reporter
from loaders.engine.test_runs import WORDS
from loaders.requests.http import RetryPolicy, http_client, rate_limit
from loaders.settings import Settings
from loaders.tdx.selftest.checks import CALENDAR, CHECKS, Check
from loaders.tdx.selftest.conditions import (
    Facts,
    Observation,
    Unmet,
    calendar_day,
    calendar_days,
    member,
)
from loaders.tdx.selftest.exchange import Answer, Exchange, NotPassed
from loaders.tdx.selftest.shape import hash_shape, short_hash
from loaders.tdx.selftest.tasks import Tasks
from loaders.trading_time import SHANGHAI

SHOWN_BYTES = 300  # shown from the body of an answer that failed


@dataclass(frozen=True)
class Options:
    """Options of a self-test.

    timeout: seconds that a check may take.
    bulk_timeout: the same for checks with much data.
    verbose: print each check when it is done.
    """

    timeout: float = 10.0
    bulk_timeout: float = 30.0
    verbose: bool = False


@dataclass(frozen=True)
class Result:
    """One check with its result.

    observation: what the condition saw.
    shape: a hash of the fields in the answer's data; None without data.
    failure: the reason why the check failed.
    skipped: the reason why the check was skipped.
    """

    check: Check
    path: str
    params: dict[str, Any]
    answer: Answer = field(default_factory=Answer)
    observation: Observation = field(default_factory=Observation)
    shape: str | None = None
    failure: NotPassed | None = None
    skipped: str | None = None

    @property
    def state(self) -> str:
        """The verdict as the status of a check."""
        return "unknown" if self.skipped else "fail" if self.failure else "ok"

    @property
    def status(self) -> str:
        """The verdict: passed, failed or skipped."""
        return WORDS[self.state]

    @property
    def reason(self) -> str | None:
        """The reason why the check did not pass; None if it passed."""
        return self.failure.detail if self.failure else self.skipped

    @property
    def is_away(self) -> bool:
        """Whether the service could not be reached."""
        return self.failure is not None and self.failure.kind == "connection"

    @property
    def evidence(self) -> Mapping[str, Any]:
        if not self.failure:
            return self.observation.evidence
        return {"body_start": self.answer.content[:SHOWN_BYTES].decode("utf-8", "replace")}


@dataclass(frozen=True)
class Run:
    """A complete self-test.

    base_url: without a password.
    day: the previous trading day.
    tasks: how each task that the self-test started has ended.
    """

    base_url: str
    options: Options
    started_at: datetime
    finished_at: datetime
    day: date | None
    results: tuple[Result, ...]
    tasks: tuple[dict[str, str], ...]

    def count(self, status: str) -> int:
        return sum(result.status == status for result in self.results)

    @property
    def is_unreachable(self) -> bool:
        """Whether no check passed and every request failed at the connection."""
        failed = [result for result in self.results if result.failure]
        return not self.count("passed") and all(result.is_away for result in failed)

    @property
    def status(self) -> str:
        """The verdict: passed, failed, or error if the service was unreachable."""
        if not self.count("failed"):
            return "passed"
        return "error" if self.is_unreachable else "failed"

    @property
    def fingerprint(self) -> str:
        """A hash that changes with the service's revision or with a verdict."""
        return short_hash(f"{r.check.no} {r.status} {r.shape}" for r in self.results)


async def run(
    settings: Settings,
    options: Options,
    as_of: datetime,
    clock: Callable[[], datetime],
    reporter: Reporter,
) -> Run:
    """Run all checks.

    as_of: gives today's date if the service's calendar does not.

    Raises SettingsError if no service is configured. The service's faults are in the results.
    """
    base_url = settings.tdx.require_service()
    started_at = clock()
    async with http_client(base_url, connections=2) as client:
        exchange = Exchange(client, options.timeout, rate_limit(settings.tdx.requests_per_second))
        tasks = Tasks(exchange, RetryPolicy(2, settings.tdx.backoff))
        test = _SelfTest(exchange, tasks, options, Facts(as_of.astimezone(SHANGHAI).date()))
        reporter.start("selftest", len(CHECKS))
        try:
            results = await test.run(reporter)
        except BaseException:  # above all Ctrl-C
            for end in await tasks.cancel_all():
                reporter.line(f"task {end['kind']} {end['id']}: {end['end']}")
            raise
        ends = await tasks.cancel_all()
    return Run(
        settings.tdx.address or base_url,
        options,
        started_at,
        clock(),
        test.facts.day,
        tuple(results),
        tuple(ends),
    )


@dataclass
class _SelfTest:
    exchange: Exchange
    tasks: Tasks
    options: Options
    facts: Facts

    async def run(self, reporter: Reporter) -> list[Result]:
        def report(result: Result) -> Result:
            reporter.advance("selftest", 1)
            if self.options.verbose:
                reporter.line(format_line(result))
            return result

        calendar = report(await self._make(CALENDAR))
        await self._find_oldest()
        first = report(await self._make(CHECKS[0]))
        results = [first]
        # two attempts are enough to call the service unreachable
        away = calendar.is_away and first.is_away
        for check in CHECKS[1:]:
            if check is CALENDAR:
                results.append(calendar)
            elif away:
                results.append(report(self._skipped(check, "no service answers at this address")))
            else:
                results.append(report(await self._make(check)))
        return results

    async def _make(self, check: Check) -> Result:
        """Run one check, from its request to its verdict."""
        if why := self.facts.missing(check.needs):
            return self._skipped(check, why)
        params, path, answer = check.params(self.facts), check.at(self.facts), Answer()
        observation, shape, failure = Observation(), None, None
        try:
            data = await self._ask(check, path, params, answer)
            shape = hash_shape(data, check.volatile)
            observation = await self._judge(check, data)
        except NotPassed as error:
            failure = error
        except Unmet as error:
            failure = NotPassed("assertion", str(error))
        return Result(check, path, params, answer, observation, shape, failure)

    def _skipped(self, check: Check, why: str) -> Result:
        path, params = check.at(self.facts), check.params(self.facts)
        return Result(check, path, params, skipped=why)

    async def _ask(self, check: Check, path: str, params: dict[str, Any], answer: Answer) -> Any:
        if check.starts:
            await self.tasks.starting(check.starts)
        limit = self.options.bulk_timeout if check.bulk else self.options.timeout
        try:
            data = await self.exchange.ask(
                check.method,
                path,
                params,
                limit=limit,
                in_envelope=check.in_envelope,
                answer=answer,
            )
        except NotPassed as failure:
            if check.starts and failure.kind == "envelope":
                self.tasks.answered(check.starts, None)
            raise
        if check.starts:
            task_id = data.get("task_id") if type(data) is dict else None
            self.tasks.answered(check.starts, task_id if type(task_id) is str else None)
        return data

    async def _judge(self, check: Check, data: Any) -> Observation:
        """Judge an answer and store its facts. Raises Unmet, NotPassed."""
        warnings = self._learn_days(data) if check is CALENDAR else ()
        observation = check.holds(data, self.facts)
        if check.starts:
            self.facts.tasks[check.starts] = observation.evidence["task_id"]
        if check.cancels:
            end = await self.tasks.cancel(self.facts.tasks[check.cancels])
            observation = replace(observation, evidence={**observation.evidence, "end": end})
        if observation.rows is not None:
            self.facts.rows[check.name] = observation.rows
        return replace(observation, warnings=(*observation.warnings, *warnings))

    def _learn_days(self, data: Any) -> tuple[str, ...]:
        """Store the service's today and previous trading day; return warnings."""
        previous = calendar_days(data, "previous")
        self.facts.day = previous[0] if previous else None
        here = self.facts.today
        self.facts.today = calendar_day(member(data, "date", dict))
        # time zones explain a difference of one day
        if abs(self.facts.today - here) <= timedelta(days=1):
            return ()
        return (f"the service's date is {self.facts.today}, this machine's {here}",)

    async def _find_oldest(self) -> None:
        """Store the trading day five before the previous one: no bar may be older."""
        if self.facts.day is None:
            return
        params = {"date": self.facts.day_text, "count": "5"}
        try:
            days = calendar_days(await self.exchange.ask("GET", CALENDAR.path, params), "previous")
            self.facts.oldest = days[-1]
        except (NotPassed, Unmet, IndexError):
            # no holiday of the exchange is longer than this
            self.facts.oldest = self.facts.day - timedelta(days=14)


def format_line(result: Result) -> str:
    """One line about a check, for people."""
    check, took = result.check, result.answer.elapsed_ms
    notes = (
        [result.reason]
        if result.reason
        else [f"warning: {text}" for text in result.observation.warnings]
    )
    return "  ".join([f"{check.no:>2} {check.name:<18} {result.status:<7} {took:>6} ms", *notes])
