"""dbt in our own commands, and after them."""

import gc
import sys
import weakref
from importlib.metadata import PackageNotFoundError
from typing import Any

import pytest
from dbt.adapters.postgres.impl import PostgresAdapter

from orchestration.run.quick_dbt import quick_dbt
from quotemill.errors import SettingsError


def test_outside_of_our_commands_dbt_is_as_it_was() -> None:
    def state() -> list[Any]:
        return [PostgresAdapter.ConnectionManager, gc.isenabled()]

    before = state()
    with quick_dbt():
        during = state()

    assert state() == before
    assert not any(a == b for a, b in zip(before, during, strict=True))


def test_what_dbt_leaves_is_not_collected_at_once_but_later() -> None:
    class Node:
        def __init__(self) -> None:
            self.itself = self

    thresholds = gc.get_threshold()
    gc.set_threshold(10, 1000, 1000)
    try:
        with quick_dbt():
            left = weakref.ref(Node())
        assert [[number] for number in range(1000)]
        assert left() is not None
        gc.collect()
        assert left() is None
    finally:
        gc.set_threshold(*thresholds)


def test_another_version_of_dbt_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestration.run.quick_dbt.VERSIONS", ("1.9.",))
    with (
        pytest.raises(SettingsError, match=r"dbt-core 1.* 1\.9\.x"),
        quick_dbt(),
    ):
        pass


def test_on_a_python_that_dbt_does_not_support_the_hint_is_another_python(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def absent(package: str) -> str:
        raise PackageNotFoundError(package)

    monkeypatch.setattr("orchestration.run.quick_dbt.version", absent)
    for running, names_another in (((3, 13), False), ((3, 14), True)):
        monkeypatch.setattr(sys, "version_info", running)
        with pytest.raises(SettingsError) as caught, quick_dbt():
            pass
        assert ("Python 3.13" in (caught.value.hint or "")) is names_another
