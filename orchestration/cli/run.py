"""`quotemill run` and `quotemill demo`."""

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from loaders import sources
from loaders.cli import shell
from loaders.cli.load import name_configured
from loaders.cli.progress import reporter
from loaders.cli.shell import AsOf, JsonFlag, Verbose
from loaders.settings import Settings
from orchestration import nightly
from orchestration.alerts.check import load_settings_or_notify
from orchestration.cli import build
from orchestration.run import build as builds
from orchestration.run.stages import RunResult
from quotemill.errors import SettingsError


def run_command(
    source: Annotated[
        str | None, typer.Argument(help="Source to run.", show_default="all configured")
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(
            help="Run only this stage: calendar, load, build, qa, archive, alerts or report. "
            "Can be repeated.",
            show_default="all",
        ),
    ] = None,
    as_of: AsOf = None,
    verbose: Verbose = False,
    json: JsonFlag = False,
) -> None:
    """Load new data, build, run checks and send alerts.

    This is the nightly run. It also archives completed option days. On a day without a session it
    prints "nothing to do" unless something is late. A failed stage stops only the stages that
    depend on it. The exit code is the most severe one. You can safely run it again.

    Example: quotemill run --json
    """
    settings = load_settings_or_notify()
    shell.start_logs(settings, verbose)
    if source is not None:
        sources.find(source)
        if why := sources.configured(settings)[1].get(source):
            file = sources.find_file(settings) or "quotemill.toml (`quotemill init` writes one)"
            hint = f"Set it in the environment or in {file}."
            raise SettingsError(f"{source} is not configured: {why}", hint=hint)
    result = run_all(settings, as_of, source, only or ())
    if json:
        shell.print_json(result.as_json())
    raise typer.Exit(result.exit_code)


def demo_command(
    codes: Annotated[
        int, typer.Option(min=1, help="Number of codes in the simulated market.")
    ] = 30,
    days: Annotated[
        int, typer.Option(min=40, help="Number of trading days in the simulated market.")
    ] = 500,
) -> None:
    """Try the whole pipeline on a simulated market.

    Starts a server and a sandbox, loads, builds and prints a price that you can verify by hand.
    Everything is written under var/demo in the working directory. In a checkout, plain dbt then
    uses that warehouse too.

    Example: quotemill demo --codes 100
    """
    from orchestration import demo

    def run_logged(settings: Settings, as_of: str, source: str, only: Sequence[str]) -> RunResult:
        shell.start_logs(settings)
        demo.start_server(settings)
        return run_all(settings, as_of, source, only)

    code, lines = demo.run(codes, days, run_logged)
    for line in lines:
        shell.print_wrapped(line)
    raise typer.Exit(code)


def run_all(
    settings: Settings,
    as_of: str | None = None,
    source: str | None = None,
    only: Sequence[str] = (),
) -> RunResult:
    """Run the stages with progress on stderr, for one source or for all that are configured."""
    try:
        names = [source] if source else name_configured(settings, "quotemill demo")
    except SettingsError as error:
        nightly.notify_cannot_start(settings, error)
        raise
    result = nightly.run(
        settings,
        names,
        reporter,
        builds.stderr,
        command=" ".join(["run", *([source] if source else [])]),
        as_of=shell.parse_time(as_of),
        only=only,
    )
    for built in result.builds:  # its stage qa makes the others
        build.print_summary(built, "tests of structure")
    if result.judgement:
        at = f" --as-of {as_of}" if as_of else ""
        new = f": `quotemill findings --new{at}`" if result.judgement.new else ""
        shell.print_wrapped(f"findings: {result.judgement}{new}", file=sys.stderr)
    failed = {load.source for load in result.loads if load.error}
    for lag in result.lags:
        if lag.has_ended and lag.source not in failed:
            text = f"warning: {lag.source}: {lag.describe_fix(settings)}"
            shell.print_wrapped(text, file=sys.stderr)
    if result.unadjusted:
        shell.print_wrapped(f"warning: {result.unadjusted}", file=sys.stderr)
    if result.error:
        shell.print_wrapped(f"error: {result.error}", file=sys.stderr)
        if result.hint:
            shell.print_wrapped(f"fix: {result.hint}", file=sys.stderr)
    causes = {result.error, *(load.error for load in result.loads)}  # printed above
    for stage in result.stages:
        for line in stage.lines if stage.error not in causes else ():
            shell.print_wrapped(line, file=sys.stderr)
        if stage.summary:
            shell.print_wrapped(f"{stage.name}: {stage.summary}", file=sys.stderr)
    return result
