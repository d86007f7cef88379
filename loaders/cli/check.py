"""`loaders check`: is a source there, and what to do when it is not."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from loaders.cli import shell
from loaders.cli.shell import JsonFlag
from loaders.settings import load_settings


def check_command(
    source: Annotated[str, typer.Argument(help="tdx")] = "tdx", json: JsonFlag = False
) -> None:
    """Test the connection to a source with a real request, not with its health page.

    Example: loaders check tdx
    """
    from loaders import sources

    found = sources.find(source).check(load_settings(), datetime.now(UTC))
    if json:
        shell.print_json({**found.detail, "warnings": found.warnings})
        return
    print(found.seen)
    for warning in found.warnings:
        print(f"warning: {warning}")
