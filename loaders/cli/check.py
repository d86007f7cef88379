"""`loaders check`: does a source answer, and what to do when it does not."""

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from loaders import sources
from loaders.cli import shell
from loaders.cli.checks import print_checks
from loaders.cli.load import name_configured
from loaders.cli.shell import AsOf, JsonFlag
from loaders.settings import load_settings
from quotemill.errors import most_severe


def check_command(
    source: Annotated[
        str | None,
        typer.Argument(help="Source: tdx, tq or ib.", show_default="all configured sources"),
    ] = None,
    as_of: AsOf = None,
    json: JsonFlag = False,
) -> None:
    """Test the connection to a source with a real request.

    The health endpoint is not used, because it reports "up" even without data.

    Example: loaders check tdx
    """
    settings = load_settings()
    now = shell.parse_time(as_of) or datetime.now(UTC)
    answers: list[dict[str, Any]] = []
    for name in [source] if source else name_configured(settings, "loaders sandbox tdx"):
        checks = list(sources.check(name, settings, now))
        answered, code = checks[0], checks[0].exit_code
        older = {"error": answered.sentence, "hint": answered.fix} if code else answered.figures
        rows = [check.as_json() for check in checks]
        answers.append({"source": name, "exit_code": code, "checks": rows, **older})
        if not json:
            print_checks(checks)
    if json:
        shell.print_json(answers[0] if len(answers) == 1 else answers)
    raise typer.Exit(most_severe(answer["exit_code"] for answer in answers))
