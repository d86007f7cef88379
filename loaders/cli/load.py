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
        str | None,
        typer.Argument(help="Source: tdx, tq or ib.", show_default="all configured sources"),
    ] = None,
    dataset: Annotated[
        list[str] | None, typer.Option(help="Load only this dataset. Can be repeated.")
    ] = None,
    codes: Annotated[
        str | None, typer.Option(help="Load only these codes: sh600000,sz000002 (tq: SHFE.cu).")
    ] = None,
    codes_file: Annotated[Path | None, typer.Option(help="File with codes, one per line.")] = None,
    since: Annotated[str | None, typer.Option(help="Reload from this day on.")] = None,
    until: Annotated[str | None, typer.Option(help="Do not load days after this one.")] = None,
    day: Annotated[
        str | None,
        typer.Option(
            "--date",
            help="Reload one trading day: 2024-06-28, `today`, `yesterday` (ib: the "
            "session before today's) or `last` (the latest finished day).",
        ),
    ] = None,
    mode: Annotated[
        str,
        typer.Option(
            help="incremental (new data), init (full history) or realtime (gaps in today's "
            "session). More modes for tq are described above."
        ),
    ] = "incremental",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the plan without loading (ib and tq only).")
    ] = False,
    accept_loss: Annotated[
        bool,
        typer.Option(
            "--accept-loss",
            help="Accept that the source no longer has rows that are stored here (needs "
            "--dataset).",
        ),
    ] = False,
    concurrency: Annotated[
        int | None,
        typer.Option(min=1, help="Concurrent requests. Overrides the source's setting."),
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(min=1, help="Codes per task. Overrides the source's setting."),
    ] = None,
    exchange: Annotated[
        str | None,
        typer.Option(rich_help_panel=TDX, help="Load only codes of this exchange: sh, sz or bj."),
    ] = None,
    yes: Annotated[
        bool,
        typer.Option(
            "--yes",
            rich_help_panel=TDX,
            help="Load full history from quote servers even while the market is open.",
        ),
    ] = False,
    refetch: Annotated[
        bool,
        typer.Option(
            "--refetch",
            rich_help_panel=TQ,
            help="Also reload complete days from --since to --until.",
        ),
    ] = False,
    task: Annotated[
        str | None,
        typer.Option(
            rich_help_panel=IB,
            help="Step to load: discover, snapshot, close, enrich or daily.",
            show_default="whatever is due now",
        ),
    ] = None,
    slot: Annotated[
        str | None,
        typer.Option(
            rich_help_panel=IB,
            help="`now`, `before-close` or a slot in progress, in New York time (10:30).",
        ),
    ] = None,
    run_day: Annotated[
        bool,
        typer.Option(
            "--run-day", rich_help_panel=IB, help="Capture every remaining slot of today."
        ),
    ] = False,
    symbols: Annotated[
        str | None,
        typer.Option(
            rich_help_panel=IB, help="Load only these symbols of the universe: AAPL,MSFT,BRK_B."
        ),
    ] = None,
    retry_missed: Annotated[
        bool,
        typer.Option(
            "--retry-missed",
            "--replay-missed",
            rich_help_panel=IB,
            help="Retry the contracts that this slot is missing.",
        ),
    ] = False,
    as_of: AsOf = None,
    verbose: Verbose = False,
    json: JsonFlag = False,
) -> None:
    """Load new data from a source into the warehouse.

    You can always run it again. Ctrl-C stops it after the current batch, and the next run continues
    from there.

    tdx: loads codes, calendar, day and minute bars, ticks and corporate actions. --mode init loads
    full history, stock facts and quotes, but no ticks. --mode realtime fills in minutes, ticks and
    quotes of the current session.

    tq: loads the main contracts, then the ticks of the schedule that dbt builds from them. --mode
    mapping and --mode ticks do one of these. --mode cross-check loads the main contracts by the
    other route, and the source's own minute bars. --mode live records ticks until the session ends,
    for accounts without tick history.

    ib: loads whatever is due now in New York: contracts before the open, a slot every half hour,
    the close, and open interest of the previous session (--date for an earlier one). Exits with 0
    if nothing is due. --dry-run shows contracts, batches and minutes based on the latest discovery.

    Example: loaders run tdx --codes sh600000,sz000002
    """
    requested = load_requested(locals())
    if requested is None:
        return
    # of one that did not end well its hint says what to do, which builds too
    ended = [result for result in requested[1] if not result.exit_code]
    if any(result.total("rows_new") + result.total("rows_changed") for result in ended):
        print_line("next: run `quotemill build` (or `dbt build`) to update the tables")
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
        raise UsageError("--task and --mode cannot be used together")
    if symbols is not None and codes is not None:
        raise UsageError("--symbols and --codes cannot be used together")
    if given["accept_loss"] and (source is None or not dataset):
        raise UsageError(
            "--accept-loss needs a source and --dataset",
            hint="Run `loaders run tdx --dataset codes --accept-loss`, for example.",
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
        typer.Argument(
            help="Source (tdx, tq, ib) or load number. Optional if only one source failed."
        ),
    ] = None,
    job: Annotated[
        int | None,
        typer.Argument(metavar="LOAD", help="Load number.", show_default="the latest failed load"),
    ] = None,
    as_of: AsOf = None,
    verbose: Verbose = False,
    json: JsonFlag = False,
) -> None:
    """Retry the failed keys of a load.

    Without a number, it retries the latest failed load.

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
        raise UsageError(
            "--symbols is empty" if len(symbols) == 1 else "--symbols contains an empty symbol"
        )
    return symbols


def _keys(text: str | None, file: Path | None, exchange: str | None) -> tuple[str, ...] | None:
    if sum(option is not None for option in (text, file, exchange)) > 1:
        raise UsageError("use only one of --codes, --codes-file and --exchange")
    if file is not None:
        text = read_text(file, CODES_FILE, UsageError).removeprefix("\ufeff")
    if text is None:
        return None
    keys = tuple(dict.fromkeys(text.replace(",", " ").split()))
    if not keys:
        raise UsageError("the list of codes is empty")
    return keys
