"""`quotemill options`: option chains, in the words of the older runbooks.

Each command calls what stands for it elsewhere, and does nothing else.
"""

import inspect
import os
from collections.abc import Callable
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperOption

from loaders.cli.lazy import lazy_app
from loaders.cli.shell import parse_time
from loaders.ib.slots import NEW_YORK


def _use_settings(file: str | None) -> None:
    if file is not None:
        os.environ["QUOTEMILL_CONFIG"] = file


def _take_settings(
    config: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Settings file (overrides QUOTEMILL_CONFIG).",
            expose_value=False,
            callback=_use_settings,
        ),
    ] = None,
) -> None: ...


class _OlderCommand(TyperCommand):
    """A command that takes `--config` after its name, as theirs did, and times in New York."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        donor = typer.Typer(add_completion=False)
        donor.command()(_take_settings)
        self.params += typer.main.get_command(donor).params
        for param in self.params:
            if isinstance(param, TyperOption) and param.name == "as_of":
                param.help = "Act as if it were this time (2026-11-25T17:00, New York)."

    def invoke(self, context: Any) -> Any:
        if (at := parse_time(context.params.get("as_of"), NEW_YORK)) is not None:
            context.params["as_of"] = at.isoformat()
        return super().invoke(context)


def taking(other: Callable[..., object], *names: str) -> Callable[[Any], Any]:
    """Give a command options of another one in place of its `**given`."""
    known = inspect.signature(other).parameters

    def take(command: Any) -> Any:
        own = inspect.signature(command).parameters.values()
        fixed = [taken for taken in own if taken.kind is not taken.VAR_KEYWORD]
        command.__signature__ = inspect.Signature([*fixed, *map(known.__getitem__, names)])
        return command

    return take


_OLDER = {"cls": _OlderCommand}

app = lazy_app(
    "Option-chain commands of the old runbooks, each with its current equivalent.",
    {
        "Load and build": {
            "snapshot": ("orchestration.cli.options.loads:snapshot_command", _OLDER),
            "close-snapshot": ("orchestration.cli.options.loads:close_command", _OLDER),
            "enrichment": ("orchestration.cli.options.loads:enrichment_command", _OLDER),
            "rollup": ("orchestration.cli.options.upkeep:rollup_command", _OLDER),
        },
        "Check": {
            "qa": ("orchestration.cli.options.checks:qa_command", _OLDER),
            "selfcheck": ("orchestration.cli.options.checks:day_command", _OLDER),
            "logscan": ("orchestration.cli.options.upkeep:logscan_command", _OLDER),
            "gate": "orchestration.cli.options.gate:app",
        },
        "Disk and clock": {
            "retention": (
                "orchestration.cli.archive:retention_command",
                {**_OLDER, "same_as": "quotemill retention"},
            ),
            "schedule": ("orchestration.cli.options.upkeep:schedule_command", _OLDER),
        },
    },
)
