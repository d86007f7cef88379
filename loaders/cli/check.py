"""`loaders check`: does a source answer, and what to do when it does not."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from loaders import sources
from loaders.cli import shell
from loaders.cli.checks import print_checks
from loaders.cli.load import name_configured
from loaders.cli.shell import AsOf, JsonFlag
from loaders.engine.check import Check
from loaders.settings import load_settings
from quotemill.errors import QuotemillError, most_severe


def check_command(
    source: Annotated[
        str | None, typer.Argument(help="tdx, tq, ib; all configured ones if absent")
    ] = None,
    as_of: AsOf = None,
    json: JsonFlag = False,
) -> None:
    """Test the connection to a source with a real request.

    Its health page is not asked: that says "up" without data too.

    Example: loaders check tdx
    """
    settings = load_settings()
    now = shell.parse_time(as_of) or datetime.now(UTC)
    answers: list[dict[str, Any]] = []
    for name in [source] if source else name_configured(settings, "loaders sandbox tdx"):
        try:
            checked = sources.find(name).check(settings, now)
        except QuotemillError as error:
            shell.print_error(error)
            answer = {"exit_code": error.exit_code, "error": str(error), "hint": error.hint}
            answers.append({"source": name} | answer)
            continue
        answers.append({"source": name, "exit_code": 0, **checked.figures})
        if not json:
            warnings = [Check(name, "warning", text) for text in checked.figures["warnings"]]
            print_checks([replace(checked, name=name, status="ok"), *warnings])
    if json:
        shell.print_json(answers[0] if len(answers) == 1 else answers)
    raise typer.Exit(most_severe(answer["exit_code"] for answer in answers))
