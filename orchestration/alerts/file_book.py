"""The alert book while the warehouse is away: `alerts.json` in the home.

The next check that reaches the warehouse takes it over and removes it. Where the file cannot be
written, each check sends the problem again.
"""

import contextlib
import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from pydantic import TypeAdapter

from loaders.files import whole_file
from orchestration.alerts.book import Entry


def read_entries(home: Path) -> dict[str, Entry]:
    """Entries by cause; none where the file is absent or damaged: sent twice beats not sent."""
    try:
        entries = TypeAdapter(list[Entry]).validate_json(_place(home).read_bytes())
        return {entry.cause: entry for entry in entries}
    except (OSError, ValueError):
        return {}


def write(home: Path, entries: Iterable[Entry]) -> None:
    """Write the book; nothing where the disk is full. Creates a missing home."""
    with contextlib.suppress(OSError):
        home.mkdir(parents=True, exist_ok=True)
        text = json.dumps([asdict(entry) for entry in entries], default=str, indent=1)
        whole_file.write(_place(home), text)


def remove(home: Path) -> None:
    """Remove the file once the warehouse holds its entries."""
    with contextlib.suppress(OSError):
        _place(home).unlink(missing_ok=True)


def merge(entries: dict[str, Entry], others: dict[str, Entry]) -> dict[str, Entry]:
    """Entries of two books, of each cause the one that was seen last."""
    newer = {
        name: entry
        for name, entry in others.items()
        if name not in entries or entry.seen_at > entries[name].seen_at
    }
    return entries | newer


def _place(home: Path) -> Path:
    return home / "alerts.json"
