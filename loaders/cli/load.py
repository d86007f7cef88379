"""`loaders run` and `loaders retry`."""

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from loaders import loads, sources
from loaders.cli import shell
from loaders.cli.progress import reporter
from loaders.cli.shell import AsOf, JsonFlag, Verbose
from loaders.engine import metrics
from loaders.engine.progress import print_line
from loaders.engine.request import LoadRequest
from loaders.engine.result import LoadResult
from loaders.settings import Settings, load_settings
from quotemill.codes import read_us_symbol
from quotemill.errors import INTERRUPTED, SettingsError, UsageError, most_severe
from quotemill.foreign import CODES_FILE, read_text

if TYPE_CHECKING:  # its module imports pyarrow
    from loaders.engine.source import Previewed

# headings of the help: a source's own options stand below its name
TDX, TQ, IB = "Options of tdx", "Options of tq", "Options of ib"


def run_command(
    source: Annotated[
        str | None, typer.Argument(help="tdx, tq, ib; all configured ones if absent")
    ] = None,
    dataset: Annotated[
        list[str] | None, typer.Option(help="Only this dataset; may be repeated.")
    ] = None,
    codes: Annotated[
        str | None, typer.Option(help="Only these: sh600000,sz000002; for tq SHFE.cu")
    ] = None,
    codes_file: Annotated[Path | None, typer.Option(help="A file of codes, one per line.")] = None,
    since: Annotated[str | None, typer.Option(help="Read again from this day on.")] = None,
    until: Annotated[str | None, typer.Option(help="Take no day after this one.")] = None,
    day: Annotated[
        str | None,
        typer.Option(
            "--date",
            help="Read this trading day again: 2024-06-28, `today`, `yesterday` (ib: the session "
            "before today's); `last`: the newest finished.",
        ),
    ] = None,
    mode: Annotated[
        str,
        typer.Option(help="incremental; init: whole histories; realtime: gaps of this session."),
    ] = "incremental",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="ib, tq: print the plan and load nothing.")
    ] = False,
    accept_loss: Annotated[
        bool,
        typer.Option(
            "--accept-loss", help="Take what --dataset has now, though stored rows are gone there."
        ),
    ] = False,
    concurrency: Annotated[
        int | None,
        typer.Option(min=1, help="Requests at once, in place of the source's setting."),
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(min=1, help="Codes in one task, in place of the source's setting."),
    ] = None,
    exchange: Annotated[
        str | None, typer.Option(rich_help_panel=TDX, help="Only codes of sh, sz or bj.")
    ] = None,
    yes: Annotated[
        bool,
        typer.Option(
            "--yes",
            rich_help_panel=TDX,
            help="Load whole histories from quote servers while the market trades.",
        ),
    ] = False,
    refetch: Annotated[
        bool,
        typer.Option(
            "--refetch",
            rich_help_panel=TQ,
            help="Read complete days of --since, --until again too.",
        ),
    ] = False,
    task: Annotated[
        str | None,
        typer.Option(
            rich_help_panel=IB,
            help="discover, snapshot, close, enrich; what is due now if absent.",
        ),
    ] = None,
    slot: Annotated[
        str | None,
        typer.Option(
            rich_help_panel=IB,
            help="`now`, `before-close`, or a slot that lasts, New York time: 10:30.",
        ),
    ] = None,
    run_day: Annotated[
        bool,
        typer.Option(
            "--run-day", rich_help_panel=IB, help="Wait for each remaining slot of today."
        ),
    ] = False,
    symbols: Annotated[
        str | None,
        typer.Option(rich_help_panel=IB, help="Only these of the universe: AAPL,MSFT,BRK_B"),
    ] = None,
    retry_missed: Annotated[
        bool,
        typer.Option(
            "--retry-missed",
            "--replay-missed",
            rich_help_panel=IB,
            help="Request again what the slot lacks.",
        ),
    ] = False,
    as_of: AsOf = None,
    verbose: Verbose = False,
    json: JsonFlag = False,
) -> None:
    """Load what is new from a source into the warehouse.

    Without --dataset: after the close codes, calendar, day and minute bars, ticks and corporate
    actions; with --mode init whole histories, stock facts and quotes, without ticks; with --mode
    realtime the minutes, ticks and quotes of the running session. tq: the main contracts, then the
    ticks of the schedule that dbt made of them; --mode mapping or ticks for one of these,
    cross-check for the main contracts by the other route and the source's own minutes, live to
    record the ticks of the running session until its close, for an account without their history.
    ib: what is due at this minute, that is contracts before the open, a slot every half hour, the
    close, the open interest of the session before (--date for an earlier one); with nothing due it
    says so and exits 0. --dry-run prints the contracts, batches and minutes of that, by the last
    discovery. Running again is always safe. Ctrl-C stops after the current batch; running again
    continues.

    Example: loaders run tdx --codes sh600000,sz000002; loaders run tq --mode live
    """
    requested = load_requested(locals())
    if requested is None:
        return
    # of one that did not end well its hint says what to do, which builds too
    ended = [result for result in requested[1] if not result.exit_code]
    if any(result.total("rows_new") + result.total("rows_changed") for result in ended):
        print_line("next: `quotemill build`, or `dbt build`, makes the tables")
    print_remaining_work(*requested)
    finish(*requested, json)


def load_requested(
    given: Mapping[str, Any],
) -> tuple[Settings, list[LoadResult]] | None:
    """Load what the options of `run_command` ask for; None where it was only previewed."""
    source, mode, task = given["source"], given["mode"], given["task"]
    at = shell.parse_time(given["as_of"])
    dataset, codes, symbols = given["dataset"], given["codes"], given["symbols"]
    settings = load_settings(
        **loads.tuning_flags(source, {name: given[name] for name in ("concurrency", "batch_size")})
    )
    shell.start_logs(settings, given["verbose"])
    if source is not None:
        sources.find(source)
    flags = ("refetch", "run_day", "retry_missed", "yes")
    options = {
        **{name: given[name] for name in ("exchange", "slot")},
        "date": given["day"],
        **{name: "yes" for name in flags if given[name]},
    }
    if task is not None and mode != "incremental":
        raise UsageError("give one of --task and --mode")
    if symbols is not None and codes is not None:
        raise UsageError("give one of --symbols and --codes")
    if given["accept_loss"] and (source is None or not dataset):
        raise UsageError(
            "--accept-loss needs a source and --dataset",
            hint="loaders run tdx --dataset codes --accept-loss",
        )
    request = LoadRequest(
        source or "",
        mode=task or mode,
        datasets=tuple(dataset) if dataset else None,
        keys=_symbols(symbols)
        if symbols is not None
        else _keys(codes, given["codes_file"], given["exchange"]),
        since=shell.parse_day(given["since"], as_of=at),
        until=shell.parse_day(given["until"], as_of=at),
        options={name: value for name, value in options.items() if value is not None},
        accept_loss=given["accept_loss"],
    )
    names = [source] if source else name_configured(settings, "loaders sandbox tdx")
    if given["dry_run"]:
        _print_previews(loads.preview(settings, request, names, at), given["json"])
        return None
    results: list[LoadResult] = []
    for name in names:
        named = replace(request, source=name)
        is_only = len(names) == 1
        results += loads.load_parts(settings, named, reporter, as_of=at, is_only=is_only)
        if results[-1].exit_code == INTERRUPTED:  # Ctrl-C is meant for all of them
            break
    return settings, results


def print_remaining_work(settings: Settings, results: list[LoadResult]) -> None:
    """Print on stderr what is left to do of sources whose loads were not ended before."""
    ended = [x for x in results if x.job_id is not None and x.status != "cancelled" and not x.error]
    ran = [result.source for result in ended]
    for line in loads.remaining_work(settings, ran):
        shell.print_wrapped(f"next: {line}", file=sys.stderr)


def _print_previews(previews: "Mapping[str, Previewed]", json: bool) -> None:
    """Print what loads would do on stdout. Raises the error that one would end with."""
    if json:
        shown = [{"source": name, **preview.detail} for name, preview in previews.items()]
        shell.print_json(shown[0] if len(shown) == 1 else shown)
    else:
        for preview in previews.values():
            print("\n".join(preview.lines))
    for preview in previews.values():
        if preview.error is not None:
            raise preview.error


def name_configured(settings: Settings, trial: str) -> list[str]:
    """The sources whose settings are present; prints the names of the others on stderr."""
    ready, skipped = loads.require_configured(settings, trial)
    if skipped:
        shell.print_wrapped(f"skipped, not configured: {', '.join(skipped)}", file=sys.stderr)
    return ready


def retry_command(
    source: Annotated[
        str | None,
        typer.Argument(help="tdx, or the load's number; not needed where one failed"),
    ] = None,
    job: Annotated[
        int | None, typer.Argument(metavar="LOAD", help="its newest load if absent")
    ] = None,
    as_of: AsOf = None,
    verbose: Verbose = False,
    json: JsonFlag = False,
) -> None:
    """Load again what failed in a load, and nothing else.

    Without its number: in the newest that failed.

    Example: loaders retry tdx 12
    """
    settings, loaded = retry_requested(locals())
    finish(settings, [loaded], json)


def retry_requested(given: Mapping[str, Any]) -> tuple[Settings, LoadResult]:
    """Load what is left of the job that the options of `retry_command` name."""
    settings = load_settings()
    shell.start_logs(settings, given["verbose"])
    source, job = shell.parse_source_and_job(given["source"], given["job"])
    request = LoadRequest(source or loads.source_to_retry(settings, job), mode="incremental")
    at = shell.parse_time(given["as_of"])
    return settings, loads.try_load(
        settings, request, reporter, as_of=at, retry=True, retry_job=job
    )


def finish(settings: Settings, results: list[LoadResult], json: bool) -> None:
    """Record the figures of started loads, print results, exit with the most severe code."""
    not_started = (0, UsageError.exit_code, SettingsError.exit_code)
    started = [r for r in results if r.job_id is not None or r.exit_code not in not_started]
    metrics.record(settings, loads.measure_loads(started))
    if json:
        shown = [result.as_json() for result in results]
        shell.print_json(shown[0] if len(shown) == 1 else shown)
    raise typer.Exit(most_severe(result.exit_code for result in results))


def _symbols(text: str) -> tuple[str, ...]:
    """Symbols separated by commas; `BRK_B` and `BRK.B` stand for `BRK B`."""
    symbols = tuple(dict.fromkeys(read_us_symbol(s.upper()) for s in text.split(",")))
    if not all(symbols):
        raise UsageError("no symbol is given" if len(symbols) == 1 else "a symbol is empty")
    return symbols


def _keys(text: str | None, file: Path | None, exchange: str | None) -> tuple[str, ...] | None:
    if sum(option is not None for option in (text, file, exchange)) > 1:
        raise UsageError("give one of --codes, --codes-file and --exchange")
    if file is not None:
        text = read_text(file, CODES_FILE, UsageError).removeprefix("\ufeff")
    if text is None:
        return None
    keys = tuple(dict.fromkeys(text.replace(",", " ").split()))
    if not keys:
        raise UsageError("no code is given")
    return keys
