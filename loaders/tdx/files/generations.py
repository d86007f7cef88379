"""Files that today's desktop client and older ones write under different names.

An update of the client leaves the files of the older one where they are. If both exist, today's
client's is read, whatever the times of the files: copies lose times, and a choice by time could
change from day to day.
"""

from datetime import date
from pathlib import Path
from typing import NamedTuple

from loaders.tdx.files.folder import HQ_CACHE, Folder
from loaders.tdx.files.written import State

TODAY, OLDER = "today's client", "an older client"


class Pair(NamedTuple):
    """Names of the same content in `T0002/hq_cache`."""

    today: str
    older: str


class Choice(NamedTuple):
    """The file to read of a pair.

    name: as in the pair, in lower case.
    generation: TODAY or OLDER.
    unread: a sentence about the older client's file beside today's, or None.
    """

    path: Path
    name: str
    generation: str
    unread: str | None = None


def choose(folder: Folder, pair: Pair) -> Choice | None:
    """Choose between the two files of a pair; None if the folder has neither."""
    today, older = (folder.find(f"{HQ_CACHE}/{name}") for name in pair)
    if today is None:
        return Choice(older, pair.older, OLDER) if older is not None else None
    unread = None
    if older is not None and older != today:
        unread = (
            f"{pair.older} of {_day(older)} is not read:"
            f" {pair.today} of {_day(today)} is of {TODAY}"
        )
    return Choice(today, pair.today, TODAY, unread)


def _day(path: Path) -> date | str:
    state = State.try_read(path)
    return state.day if state else "an unknown day"
