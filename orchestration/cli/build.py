"""`quotemill build`, `dbt` and `docs`."""

import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from loaders import loads
from loaders.cli import shell
from loaders.cli.progress import reporter
from loaders.cli.shell import JsonFlag
from loaders.engine.progress import format_counts
from loaders.settings import Settings, load_settings
from orchestration.run import build as builds
from orchestration.run import dbt_commands
from orchestration.run.build_progress import stoppable
from orchestration.run.build_result import BuildResult
from orchestration.run.metrics import measure_builds, measure_command
from quotemill.errors import UsageError
from quotemill.warehouse.postgres import Warehouse


def build_command(
    select: Annotated[
        str | None,
        typer.Option(
            "--select", "-s", help="Build only these models (dbt syntax).", show_default="all"
        ),
    ] = None,
    full_refresh: Annotated[
        bool,
        typer.Option(
            "--full-refresh",
            help="Compute every table again and write the differences.",
        ),
    ] = False,
    json: JsonFlag = False,
) -> None:
    """Build and test the dbt models.

    Example: quotemill build --select kline_daily_qfq+
    """
    arguments = ["--select", select] if select else []
    arguments += ["--full-refresh"] if full_refresh else []
    build_chosen(lambda _, __: arguments, json=json)


def build_chosen(choose: Callable[[Settings, Warehouse], Sequence[str]], *, json: bool) -> NoReturn:
    """Build with the arguments of dbt that a command chooses, print the result, and exit."""
    settings = load_settings()
    shell.start_logs(settings)
    with measure_command(settings, "build") as figures:
        with reporter() as shown:
            warehouse = loads.prepare_warehouse(settings, shown)
        arguments = choose(settings, warehouse)
        display = partial(stoppable, reporter)
        result = builds.build(settings, warehouse, display, arguments=arguments)
        assert result is not None
        figures |= {metric.name: metric.value for metric in measure_builds([result])}
        if json:
            shell.print_json(result.as_json())
        print_summary(result)
        raise typer.Exit(result.exit_code)


def print_summary(result: BuildResult, tests: str = "tests") -> None:
    """Print the figures of a build on stderr; `tests` is the word for those that it made."""
    for finding in result.findings:
        shell.print_wrapped(f"{finding.status}: {finding.name}: {finding.message}", file=sys.stderr)
    counts = {word: getattr(result, f"tests_{word}") for word in ("passed", "warned", "failed")}
    shell.print_wrapped(
        f"build {result.build_id} {'succeeded' if result.succeeded else 'failed'} in "
        f"{result.seconds:.1f} s: {result.models_built} models, {result.rows_written:,} rows "
        f"written; {tests}: {format_counts(counts) or 'none'}",
        file=sys.stderr,
    )


def dbt_command(context: typer.Context) -> None:
    """Run a dbt command with quotemill's project and profile.

    Example: quotemill dbt build --select kline_daily_qfq+
    """
    raise typer.Exit(dbt_commands.run_dbt(load_settings(), context.args))


def docs_command(
    output: Annotated[
        Path | None,
        typer.Option(help="File to write.", show_default="models.html in the home"),
    ] = None,
) -> None:
    """Write the dbt docs site as one static HTML file.

    Example: quotemill docs --output /tmp/quotemill.html
    """
    if output is not None and output.is_dir():
        raise UsageError(f"{output} is a folder", hint="Give --output the path of a file.")
    print(dbt_commands.make_docs(load_settings(), output))
