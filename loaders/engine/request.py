"""What a load is asked for."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any


@dataclass(frozen=True)
class LoadRequest:
    """What to load. None means all of the codes, and the datasets that its mode is about.

    `mode` is init (whole histories), incremental (what is new after the close) or realtime (what is
    missing of the running session). Dates are trading days, both included; `day` is one such day as
    text, or `last`.
    """

    source: str
    mode: str = "incremental"
    datasets: tuple[str, ...] | None = None
    codes: tuple[str, ...] | None = None
    exchange: str | None = None
    since: date | None = None
    until: date | None = None
    day: str | None = None

    def parameters(self) -> dict[str, Any]:
        return json.loads(json.dumps(asdict(self), default=str))  # type: ignore[no-any-return]


def request_of(parameters: Mapping[str, Any]) -> LoadRequest:
    def day(value: str | None) -> date | None:
        return date.fromisoformat(value) if value else None

    def names(value: list[str] | None) -> tuple[str, ...] | None:
        return tuple(value) if value is not None else None

    return LoadRequest(
        **dict(parameters)
        | {
            "since": day(parameters["since"]),
            "until": day(parameters["until"]),
            "datasets": names(parameters["datasets"]),
            "codes": names(parameters["codes"]),
        }
    )
