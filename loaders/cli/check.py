"""`loaders check`: is a source there, and what to do when it is not."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from loaders.cli import shell
from loaders.cli.shell import JsonFlag
from loaders.errors import UsageError
from loaders.settings import load_settings


def check_command(
    source: Annotated[str, typer.Argument(help="tdx")] = "tdx", json: JsonFlag = False
) -> None:
    """Test the connection to a source with a real request, not with its health page.

    Example: loaders check tdx
    """
    if source != "tdx":
        raise UsageError(f"unknown source {source}", hint="sources: tdx")
    from loaders.tdx.check import check

    found = check(load_settings(), datetime.now(UTC))
    if json:
        shell.print_json(found)
        return
    print(
        f"{found['base_url']} answers; its calendar runs {found['first_day']} to {found['last_day']}"
    )
    for warning in found["warnings"]:
        print(f"warning: {warning}")
