"""`quotemill run` and `quotemill demo`."""

import sys
from functools import partial
from typing import Annotated

import typer

from loaders import sources
from loaders.cli import shell
from loaders.cli.load import attempt, configured_sources, execute
from loaders.cli.shell import AsOf, JsonFlag, Verbose
from loaders.engine.request import LoadRequest
from loaders.settings import Settings, load_settings
from orchestration import build as builds
from orchestration import pipeline
from orchestration.cli import build
from orchestration.pipeline import RunResult


def run_command(
    source: Annotated[
        str | None, typer.Argument(help="Only this source; all configured ones if absent.")
    ] = None,
    as_of: AsOf = None,
    verbose: Verbose = False,
    json: JsonFlag = False,
) -> None:
    """Load what is new from every configured source, build what that touched, judge the result.

    Running again is always safe. `quotemill schedule` has it run by itself.

    Example: quotemill run --json
    """
    settings = load_settings()
    shell.start_logs(settings, verbose)
    if source is not None:
        sources.find(source)
    result = run_all(settings, as_of, source)
    if json:
        shell.print_json(result.as_json())
    raise typer.Exit(result.exit_code)


def demo_command(
    codes: Annotated[int, typer.Option(help="Size of the simulated market.")] = 30,
    days: Annotated[int, typer.Option(help="Trading days of the simulated market.")] = 500,
) -> None:
    """Everything once on a simulated market: server, sandbox, load, build, figures to check.

    Writes below var/demo of the working directory; in a checkout, plain dbt then goes there too.

    Example: quotemill demo --codes 100
    """
    from orchestration import demo

    raise typer.Exit(demo.run(codes, days, run_all))


def run_all(settings: Settings, as_of: str | None = None, source: str | None = None) -> RunResult:
    """Run the pipeline with progress on stderr, for one source or for all that are configured."""
    names = [source] if source else configured_sources(settings, "quotemill demo")
    result = pipeline.run(
        settings,
        [LoadRequest(name) for name in names],
        lambda request: attempt(request.source, partial(execute, settings, request, as_of=as_of)),
        builds.stderr.line,
        shell.parse_instant(as_of),
    )
    for built in result.builds:
        build.summarise(built)
    if result.judgement:
        print(f"findings: {result.judgement}", file=sys.stderr)
        if result.judgement.new:
            at = f" --as-of {as_of}" if as_of else ""
            print(f"`quotemill findings --new{at}` lists the new ones", file=sys.stderr)
    if result.error:
        print(f"error: {result.error}", file=sys.stderr)
        if result.hint:
            print(f"hint: {result.hint}", file=sys.stderr)
    return result
