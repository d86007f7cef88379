"""What a load is asked for."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import date
from typing import Any

from loaders.errors import UsageError

VERSION = 2  # of the form that jobs are stored in


@dataclass(frozen=True)
class LoadRequest:
    """What to load. None means all of the keys, and the datasets that its mode is about.

    `mode` is init (whole histories), incremental (what is new), realtime (what is missing of the
    running session), or another word of the source. Dates are the exchange's, both included.
    `options` are the source's own: text by name, without what was not given.
    """

    source: str
    mode: str = "incremental"
    datasets: tuple[str, ...] | None = None
    keys: tuple[str, ...] | None = None
    since: date | None = None
    until: date | None = None
    options: Mapping[str, str] = field(default_factory=dict)

    def parameters(self) -> dict[str, Any]:
        """As the job's record holds it."""
        return asdict(self) | {
            "version": VERSION,
            "since": self.since and self.since.isoformat(),
            "until": self.until and self.until.isoformat(),
        }


def request_of(parameters: Mapping[str, Any]) -> LoadRequest:
    """The request that a job was recorded with, of this version or an older one.

    Raises UsageError for one of a newer quotemill.
    """
    stored = dict(parameters)
    version = stored.pop("version", 1)
    if version > VERSION:
        raise UsageError(
            "the job was recorded by a newer quotemill", hint="retry it with that version"
        )
    if version == 1:  # keys were codes, and options had fields of their own
        stored["keys"] = stored.pop("codes")
        options = {"exchange": stored.pop("exchange"), "date": stored.pop("day", None)}
        stored["options"] = {name: value for name, value in options.items() if value is not None}
    for name in ("since", "until"):
        stored[name] = date.fromisoformat(stored[name]) if stored[name] else None
    for name in ("datasets", "keys"):
        stored[name] = None if stored[name] is None else tuple(stored[name])
    return LoadRequest(**stored)
