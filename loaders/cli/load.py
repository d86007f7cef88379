"""`loaders run` and `loaders retry`."""

import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from loaders import sources
from loaders.cli import shell
from loaders.cli.progress import Lines, Terminal, reporter
from loaders.cli.shell import AsOf, JsonFlag, Verbose
from loaders.engine import jobs, load, metrics
from loaders.engine.load import Load, LoadResult
from loaders.engine.request import LoadRequest
from loaders.errors import NotDue, QuotemillError, SettingsError, UsageError, gravest
from loaders.settings import Settings, load_settings
from loaders.warehouse.postgres import find_warehouse


def run_command(
    source: Annotated[
        str | None, typer.Argument(help="tdx, tq, ib; all configured ones if absent")
    ] = None,
    dataset: Annotated[
        list[str] | None, typer.Option(help="Only this dataset; repeat for more.")
    ] = None,
    codes: Annotated[
        str | None, typer.Option(help="Only these: sh600000,sz000002; of tq SHFE.cu")
    ] = None,
    codes_file: Annotated[Path | None, typer.Option(help="A file of codes, one a line.")] = None,
    exchange: Annotated[str | None, typer.Option(help="Only codes of sh, sz or bj.")] = None,
    since: Annotated[str | None, typer.Option(help="Read again from this day on.")] = None,
    until: Annotated[str | None, typer.Option(help="Take no day after this one.")] = None,
    day: Annotated[
        str | None,
        typer.Option("--date", help="Read this trading day again; `last`: the newest ended."),
    ] = None,
    mode: Annotated[
        str,
        typer.Option(help="incremental; init: whole histories; realtime: gaps of this session."),
    ] = "incremental",
    task: Annotated[
        str | None,
        typer.Option(help="Of ib: discover, snapshot, close, enrich; what is due now if absent."),
    ] = None,
    slot: Annotated[
        str | None, typer.Option(help="Of ib: `now`, or today's slot by New York's clock: 10:30.")
    ] = None,
    run_day: Annotated[
        bool, typer.Option("--run-day", help="Of ib: wait for every slot left of today.")
    ] = False,
    symbols: Annotated[
        str | None, typer.Option(help="Of ib: only these of the universe: AAPL,MSFT,BRK_B")
    ] = None,
    retry_missed: Annotated[
        bool, typer.Option("--retry-missed", help="Of ib: capture again what slots lack.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Of ib: tell what would be done, and do nothing.")
    ] = False,
    as_of: AsOf = None,
    verbose: Verbose = False,
    json: JsonFlag = False,
) -> None:
    """Load what is new from a source into the warehouse.

    Without --dataset: after the close codes, calendar, day and minute bars, ticks and corporate
    actions; with --mode init whole histories, stock facts and quotes, without ticks; with --mode
    realtime the minutes, ticks and quotes of the running session. Of tq the main contracts, then the
    ticks of the schedule that dbt made of them; --mode mapping or ticks for one of these. Of ib what is
    due at this minute: contracts before the open, a slot every half hour, the close, open interest of the
    session before (--date for an earlier one); with nothing due it says so and exits 0. With --dry-run it
    says which contracts, batches and minutes that would be, by those that were found last.
    Running again is always safe. Ctrl-C finishes what is in hand and stops; running again continues.

    Example: loaders run tdx --codes sh600000,sz000002
    """
    settings = load_settings()
    shell.start_logs(settings, verbose)
    if source is not None:
        sources.find(source)
    options = {
        **{"exchange": exchange, "date": day, "slot": slot},
        **{"run_day": "yes" if run_day else None, "retry_missed": "yes" if retry_missed else None},
    }
    if task is not None and mode != "incremental":
        raise UsageError("give one of --task and --mode")
    if symbols is not None and codes is not None:
        raise UsageError("give one of --symbols and --codes")
    request = LoadRequest(
        source or "",
        mode=task or mode,
        datasets=tuple(dataset) if dataset else None,
        keys=_symbols(symbols) if symbols is not None else _keys(codes, codes_file, exchange),
        since=shell.parse_day(since),
        until=shell.parse_day(until),
        options={name: value for name, value in options.items() if value is not None},
    )
    names = [source] if source else configured_sources(settings, "loaders sandbox tdx")
    if dry_run:
        _tell_plan(settings, request, names, shell.parse_instant(as_of), json)
        return
    results: list[LoadResult] = []
    for name in names:
        results += _run_parts(settings, replace(request, source=name), as_of, named=len(names) > 1)
        if results[-1].exit_code == shell.INTERRUPTED:  # meant for all of them
            break
    if any(result.total("rows_new") + result.total("rows_changed") for result in results):
        print("next: `quotemill build`, or `dbt build`, makes the tables", file=sys.stderr)
    for line in still_due(settings, [r.source for r in results if r.job_id is not None]):
        print(f"next: {line}", file=sys.stderr)
    finish(settings, results, json)


def _tell_plan(
    settings: Settings,
    request: LoadRequest,
    names: Sequence[str],
    as_of: datetime | None,
    json: bool,
) -> None:
    """What a load would do, on stdout. Raises what it would end with; UsageError of a source that cannot tell."""
    able = [name for name in names if sources.find(name).preview is not None]
    if not able:
        raise UsageError(f"no plan is told of {', '.join(names)}", hint="loaders run ib --dry-run")
    told = []
    for name in able:
        preview = sources.find(name).preview
        assert preview is not None
        named = replace(request, source=name)
        told.append((name, preview(settings, find_warehouse(settings), named, as_of)))
    if json:
        shell.print_json(
            [{"source": name, **found.detail} for name, found in told][
                0 if len(told) == 1 else slice(None)
            ]
        )
    else:
        for _, found in told:
            print("\n".join(found.lines))
    for _, found in told:
        if found.error is not None:
            raise found.error


def _run_parts(
    settings: Settings, request: LoadRequest, as_of: str | None, *, named: bool
) -> list[LoadResult]:
    """The loads that a source makes of a request, up to the first that ends it."""
    results: list[LoadResult] = []
    try:
        parts = sources.find(request.source).parts(settings, request, shell.parse_instant(as_of))
    except NotDue as why:
        print(f"{request.source}: {why}" if named else why, file=sys.stderr)
        return [load.not_due(request.source, why)]
    except QuotemillError as error:
        if not named:
            error.source = request.source  # whoever tells it
            raise
        shell.tell(error, request.source)  # as of a load that fails: the other sources go on
        return [load.stopped(request.source, error)]
    for part in parts:
        if len(parts) > 1:
            print(f"{part.source}, {part.mode}:", file=sys.stderr)
        elif named:
            print(f"{part.source}:", file=sys.stderr)
        results.append(attempt(part.source, partial(execute, settings, part, as_of=as_of)))
        if results[-1].ends_source or results[-1].exit_code == shell.INTERRUPTED:
            break
    return results


def still_due(settings: Settings, names: Sequence[str]) -> list[str]:
    """What loads of these sources have left to do, a line for each."""
    try:
        warehouse = find_warehouse(settings) if names else None
        if warehouse is None:
            return []
        return [
            line for n in dict.fromkeys(names) for line in sources.find(n).due(settings, warehouse)
        ]
    except QuotemillError as error:  # the loads have ended well, whatever befell since
        return [f"run again; what is still due cannot be told: {error}"]


def configured_sources(settings: Settings, trial: str) -> list[str]:
    """The sources whose settings are present; the others are named on stderr, without their settings.

    Raises SettingsError where there is none; its hint names `trial`, a command that needs no setting.
    """
    ready, skipped = sources.configured(settings)
    if ready and skipped:
        print(f"skipped, not configured: {', '.join(skipped)}", file=sys.stderr)
    if not ready:
        raise SettingsError(
            f"no source is configured: {'; '.join(skipped.values())}",
            hint=f"quotemill.example.toml lists the settings; `{trial}` needs none",
        )
    return ready


def retry_command(
    source: Annotated[
        str | None,
        typer.Argument(help="tdx, or the job's number; not needed where one failed"),
    ] = None,
    job: Annotated[int | None, typer.Argument(help="its newest job if absent")] = None,
    as_of: AsOf = None,
    verbose: Verbose = False,
    json: JsonFlag = False,
) -> None:
    """Load again what of a job failed, and nothing else.

    Example: loaders retry tdx 12
    """
    settings = load_settings()
    shell.start_logs(settings, verbose)
    source, job = shell.source_and_job(source, job)
    request = LoadRequest(source or source_to_retry(settings, job), mode="incremental")
    again = partial(execute, settings, request, as_of=as_of, retry=True, retry_job=job)
    finish(settings, [attempt(request.source, again)], json)


def source_to_retry(settings: Settings, job: int | None) -> str:
    """The source of the job; without one the only configured source, or the only one of these whose
    newest job failed. Raises UsageError."""
    ready, _ = sources.configured(settings)
    if job is None and len(ready) < 2:
        return configured_sources(settings, "loaders sandbox tdx")[0]
    warehouse = find_warehouse(settings)
    if warehouse is None:
        raise UsageError("no load has run yet", hint="loaders run")
    if job is not None:
        return jobs.source_of(warehouse, job)
    newest = {job["source"]: job["status"] for job in warehouse.ask(jobs.newest_jobs)}
    failed = [name for name in ready if newest.get(name) not in (None, "succeeded", "running")]
    if len(failed) != 1:
        raise UsageError(f"which source? {', '.join(ready)}", hint=f"loaders retry {ready[0]}")
    return failed[0]


def attempt(source: str, work: Callable[[], LoadResult]) -> LoadResult:
    """A load of the source, with whatever stops it told and as its result: a source that is locked
    or down keeps no other from running."""
    try:
        return work()
    except Exception as error:
        known = shell.explained(error)
        shell.tell(known, source)
        return load.stopped(source, known)


def execute(
    settings: Settings,
    request: LoadRequest,
    *,
    as_of: str | None = None,
    retry: bool = False,
    retry_job: int | None = None,
) -> LoadResult:
    """Run a load with progress on stderr; the first Ctrl-C stops it cleanly, a second at once."""
    loads: list[Load] = []

    def begun(load: Load) -> None:
        loads.append(load)
        _stop_on_interrupt(load, report)

    with reporter() as report:
        previous = signal.getsignal(signal.SIGINT)
        try:
            result = load.run_load(
                settings,
                request,
                report,
                as_of=shell.parse_instant(as_of),
                retry=retry,
                retry_job=retry_job,
                on_start=begun,
            )
        finally:
            signal.signal(signal.SIGINT, previous)
        if result.status == "cancelled" and loads[0].interrupted:
            result = replace(result, exit_code=shell.INTERRUPTED)
        summarise(result, report)
    return result


def _stop_on_interrupt(load: Load, report: Terminal | Lines) -> None:
    def stop(_signal: int, _frame: FrameType | None) -> None:
        report.line("stopping after what is in hand; once more to stop at once")
        load.interrupt()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    signal.signal(signal.SIGINT, stop)


def finish(settings: Settings, results: list[LoadResult], json: bool) -> None:
    """Record the figures of what was begun, print results as asked and leave with the gravest exit code."""
    nothing_begun = (0, UsageError.exit_code, SettingsError.exit_code)
    begun = [r for r in results if r.job_id is not None or r.exit_code not in nothing_begun]
    metrics.record(settings, metrics.of_loads(begun))
    if json:
        shown = [result.as_json() for result in results]
        shell.print_json(shown[0] if len(shown) == 1 else shown)
    raise typer.Exit(gravest(result.exit_code for result in results))


def summarise(result: LoadResult, report: Terminal | Lines) -> None:
    """The figures of a load in a few lines."""
    for dataset in dict.fromkeys(task.dataset for task in result.tasks):
        tasks = [task for task in result.tasks if task.dataset == dataset]
        done, skipped = sum(t.done for t in tasks), sum(t.skipped for t in tasks)
        failed = sum(len(t.failures) for t in tasks)
        report.line(
            f"{dataset:<21} {done:,} done, {skipped:,} skipped, {failed:,} failed; rows: "
            f"{sum(t.rows_new for t in tasks):,} new, {sum(t.rows_changed for t in tasks):,} changed, "
            f"{sum(t.rows_unchanged for t in tasks):,} unchanged"
        )
    if (
        result.tasks
        and result.status == "succeeded"
        and not result.total("rows_new") + result.total("rows_changed")
    ):
        report.line("nothing new: no row was written")
    if result.error:
        report.line(f"error: {result.error}")
    if result.hint:
        report.line(f"hint: {result.hint}")
    if result.job_id is not None:
        report.line(f"job {result.job_id} {result.status} in {result.seconds:.1f} s")


def _symbols(text: str) -> tuple[str, ...]:
    """Symbols between commas; `BRK_B` stands for the one with a blank."""
    found = tuple(dict.fromkeys(s.strip().replace("_", " ").upper() for s in text.split(",")))
    if not all(found):
        raise UsageError("no symbol is given" if len(found) == 1 else "a symbol is empty")
    return found


def _keys(text: str | None, file: Path | None, exchange: str | None) -> tuple[str, ...] | None:
    if sum(option is not None for option in (text, file, exchange)) > 1:
        raise UsageError("give one of --codes, --codes-file and --exchange")
    if file is not None:
        try:
            text = file.read_text("utf-8-sig")
        except OSError as error:
            raise UsageError(f"{file} cannot be read: {error.strerror}") from None
        except UnicodeDecodeError:
            raise UsageError(f"{file} is not UTF-8 text") from None
    if text is None:
        return None
    found = tuple(dict.fromkeys(text.replace(",", " ").split()))
    if not found:
        raise UsageError("no code is given")
    return found
