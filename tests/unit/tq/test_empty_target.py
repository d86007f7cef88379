"""What a copy says of a store that has nothing yet, and a check of a sandbox's clock."""

from datetime import datetime
from types import SimpleNamespace
from typing import Any

import pytest
import typer

from loaders import sources
from loaders.check import describe_service
from loaders.cli import check as command
from loaders.tq.tick_days.verify import measure_days
from loaders.trading_time import SHANGHAI


def test_a_store_without_a_day_announces_no_days() -> None:
    said: list[tuple[str, int]] = []

    def count(name: str, number: int) -> None:
        said.append((name, number))

    reporter: Any = SimpleNamespace(start=count, advance=count)
    part = SimpleNamespace(key="a day")
    full, empty = (
        SimpleNamespace(
            summary=lambda days=days: SimpleNamespace(days=days),
            measure_all=lambda days=days: iter([[part]] * days),
        )
        for days in (1, 0)
    )
    store: Any = empty
    assert measure_days(store, reporter) == {}
    assert said == []
    store = full
    assert measure_days(store, reporter) == {"a day": [part]}
    assert said == [("days", 1), ("days", 1)]


def test_a_check_counts_from_the_time_that_it_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    times: list[datetime] = []

    def check(_: object, now: datetime) -> Any:
        times.append(now)
        return describe_service("the servers answer", [], {})

    monkeypatch.setattr(command, "load_settings", lambda: None)
    monkeypatch.setattr(sources, "find", lambda _: SimpleNamespace(check=check))
    with pytest.raises(typer.Exit):
        command.check_command("tq", as_of="2025-10-22T20:00")
    assert times == [datetime(2025, 10, 22, 20, tzinfo=SHANGHAI)]
