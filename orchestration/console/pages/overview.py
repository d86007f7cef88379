"""The first page: what needs attention, how far the data are, what ran."""

from collections.abc import Mapping
from typing import Any

from orchestration.checks import status
from orchestration.console.context import Console

SHOWN = 10  # loads


def gather(console: Console) -> Mapping[str, Any]:
    settings = console.settings()
    shown = status.read(console.find_warehouse(), SHOWN, console.as_of, settings)
    return {"status": shown, "home": str(settings.home)}
