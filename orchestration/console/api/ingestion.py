"""Start, retry and cancel loads."""

from datetime import date
from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import Field, StringConstraints

from loaders import sources
from loaders.engine import jobs
from loaders.engine.request import LoadRequest
from loaders.loads import tuning_flags
from loaders.settings import load_settings
from orchestration.console import starting
from orchestration.console.api.answers import Answer, Call, StartedAnswer
from orchestration.console.context import Console
from orchestration.console.watching import JobWatch
from quotemill.errors import SettingsError, UsageError

MOST_CODES = 8000
Word = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,40}$")]
Code = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,30}$")]


class LoadCall(Call):
    """A load, with the options of `loaders run SOURCE`.

    `codes` are codes of the source (sh600000, SHSE.600000, SHFE.cu), `symbols` are underlyings of
    options. With `build` the tables are also built, as with `quotemill load`.
    """

    source: Word
    mode: Word = "incremental"
    datasets: Annotated[list[Word], Field(max_length=50)] | None = None
    codes: Annotated[list[Code], Field(max_length=MOST_CODES)] | None = None
    symbols: Annotated[list[Code], Field(max_length=MOST_CODES)] | None = None
    exchange: Word | None = None
    since: date | None = None
    until: date | None = None
    day: date | None = Field(None, alias="date")
    slot: Annotated[str, StringConstraints(pattern=r"^(now|before-close|\d\d:\d\d)$")] | None = None
    retry_missed: bool = False
    refetch: bool = False
    concurrency: Annotated[int, Field(ge=1, le=1000)] | None = None
    batch_size: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    build: bool = True


class JobCall(Call):
    """A load by its number or source. Without both, the only one that qualifies."""

    job_id: Annotated[int, Field(ge=1, lt=2**63)] | None = None
    source: Word | None = None


class CancelledAnswer(Answer):
    """The load that will stop."""

    job_id: int


def routes(console: Console, watch: JobWatch) -> APIRouter:
    router = APIRouter(tags=["loads"])

    @router.post("/ingestion/start", status_code=202)
    def start_load(call: LoadCall) -> StartedAnswer:
        """Start a load in its own process: `quotemill load`, or `loaders run`."""
        _check(console, call)
        program = ("quotemill", "load") if call.build else ("loaders", "run")
        words = [*program, call.source, *_list_options(call)]
        return describe_started(starting.start_load(console, words, "POST /api/ingestion/start"))

    @router.post("/ingestion/retry", status_code=202)
    def retry_load(call: JobCall) -> StartedAnswer:
        """Resume a load, then build the affected tables: `quotemill retry 12`."""
        if call.source is not None:
            sources.find(call.source)
        named = [str(value) for value in (call.source, call.job_id) if value is not None]
        words = ["quotemill", "retry", *named]
        return describe_started(starting.start_load(console, words, "POST /api/ingestion/retry"))

    @router.post("/ingestion/cancel")
    def cancel_load(call: JobCall) -> CancelledAnswer:
        """Stop a load after its current batch: `loaders cancel 12`."""
        if call.source is not None:
            sources.find(call.source)
        job_id = jobs.request_cancel(console.open_warehouse(), call.source, call.job_id)
        watch.forget(job_id)
        return CancelledAnswer(job_id=job_id)

    @router.post("/tasks/{task_id}/cancel")
    def cancel_task(
        task_id: Annotated[str, Path(pattern=r"^[1-9][0-9]{0,17}-[1-9][0-9]{0,8}$")],
        call: Call,  # noqa: ARG001 - the body is an empty object
    ) -> CancelledAnswer:
        """Stop a load after this task, such as 12-3: `loaders cancel 12 --after-task 3`.

        The task still runs to its end.
        """
        job_id, task_no = map(int, task_id.split("-"))
        jobs.request_cancel_after(console.open_warehouse(), job_id, task_no)
        watch.forget(job_id)
        return CancelledAnswer(job_id=job_id)

    return router


def describe_started(started: starting.Started) -> StartedAnswer:
    return StartedAnswer(
        run_id=started.command.run_id,
        command=started.command.text,
        job_id=started.job_id,
        exit_code=started.exit_code,
        hint=started.note,
    )


def _check(console: Console, call: LoadCall) -> None:
    """Refuse at once what the load would refuse. Raises UsageError, SettingsError."""
    source = sources.find(call.source)
    given = [call.codes, call.symbols, call.exchange]
    if sum(value is not None for value in given) > 1:
        raise UsageError("give only one of codes, symbols and exchange")
    if call.codes == [] or call.symbols == [] or call.datasets == []:
        raise UsageError("an empty list would load nothing", hint="Leave it out to load all.")
    flags = tuning_flags(
        call.source, {"concurrency": call.concurrency, "batch_size": call.batch_size}
    )
    settings = load_settings(console.environ, console.cwd, **flags)
    if missing := sources.find_operations(call.source).missing(settings):
        raise SettingsError(
            f"{call.source} is not configured: {missing}", hint="See the Settings page."
        )
    options = {
        "exchange": call.exchange,
        "date": call.day and call.day.isoformat(),
        "slot": call.slot,
        "retry_missed": "yes" if call.retry_missed else None,
        "refetch": "yes" if call.refetch else None,
    }
    request = LoadRequest(
        call.source,
        mode=call.mode,
        datasets=tuple(call.datasets) if call.datasets else None,
        keys=tuple(call.codes or call.symbols or ()) or None,
        since=call.since,
        until=call.until,
        options={name: value for name, value in options.items() if value},
    )
    source.requests.check(settings, request)


def _list_options(call: LoadCall) -> list[str]:
    """The options of the command, each one word, so that no value can be another option."""
    values = {
        "mode": call.mode,
        "codes": ",".join(call.codes) if call.codes else None,
        "symbols": ",".join(call.symbols) if call.symbols else None,
        "exchange": call.exchange,
        "since": call.since,
        "until": call.until,
        "date": call.day,
        "slot": call.slot,
        "concurrency": call.concurrency,
        "batch-size": call.batch_size,
    }
    options = [f"--{name}={value}" for name, value in values.items() if value is not None]
    options += [f"--dataset={name}" for name in call.datasets or ()]
    options += ["--retry-missed"] if call.retry_missed else []
    return [*options, *(["--refetch"] if call.refetch else [])]
