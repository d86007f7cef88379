"""dbt in our own commands: less work with the same macros and the same lines of a log."""

import gc
import io
import re
from types import SimpleNamespace
from typing import Any

import pytest
from dbt.adapters.postgres.impl import PostgresAdapter
from dbt.clients.jinja import MacroGenerator, MacroStack
from dbt.context.macros import MacroNamespace, MacroNamespaceBuilder
from dbt.graph import selector
from dbt_common.events import base_types
from dbt_common.events.base_types import BaseEvent, EventLevel
from dbt_common.events.event_manager_client import get_event_manager
from dbt_common.events.logger import LoggerConfig
from dbt_common.events.types import Note, SystemCouldNotWrite

from orchestration.run.quick_dbt import VERSIONS, quick_dbt
from quotemill.errors import SettingsError

# as in a project with a package beside dbt's own two, which the adapter comes before
MACROS = {
    "dbt": ("create_view", "default_type", "only_in_dbt"),
    "dbt_postgres": ("create_view", "postgres_type"),
    "package": ("default_type", "only_in_package", "shared"),
    "quotemill": ("create_view", "shared", "only_in_project"),
}


def build_namespace(package: str) -> MacroNamespace:
    """The macros as a node of a package sees them."""
    macros: Any = {
        name: {
            macro: SimpleNamespace(package_name=name, name=macro, unique_id=f"{name}.{macro}")
            for macro in members
        }
        for name, members in MACROS.items()
    }
    internal = ["dbt_postgres", "dbt"]
    builder = MacroNamespaceBuilder("quotemill", package, MacroStack(), internal, None)
    return builder.build_namespace(macros, {})


def name_members(members: Any) -> dict[str, Any]:
    """Members by what they stand for: a macro, or the macros of a package."""
    return {
        name: name_members(member) if isinstance(member, dict) else member.macro.unique_id
        for name, member in members.items()
    }


@pytest.mark.parametrize(
    ("package", "own"),
    [
        ("quotemill", {"default_type": "dbt.default_type", "shared": "quotemill.shared"}),
        (
            "package",
            {
                "default_type": "package.default_type",
                "shared": "package.shared",
                "only_in_package": "package.only_in_package",
            },
        ),
    ],
)
def test_a_macro_of_many_is_the_one_that_dbt_takes(package: str, own: dict[str, str]) -> None:
    internal = {
        "create_view": "dbt_postgres.create_view",
        "default_type": "dbt.default_type",
        "only_in_dbt": "dbt.only_in_dbt",
        "postgres_type": "dbt_postgres.postgres_type",
    }
    with quick_dbt():
        namespace = build_namespace(package)

        assert name_members(namespace) == {
            **internal,
            "dbt": internal,
            **{
                name: {macro: f"{name}.{macro}" for macro in MACROS[name]}
                for name in ("package", "quotemill")
            },
            "create_view": "quotemill.create_view",
            "only_in_project": "quotemill.only_in_project",
            **own,
        }
        assert isinstance(namespace["create_view"], MacroGenerator)
        assert len(namespace) == len(list(namespace))
        with pytest.raises(KeyError):
            namespace["only_in_another"]


def write_events(level: EventLevel) -> str:
    """What is in a log of that level, after an event of each kind."""
    stream = io.StringIO()
    manager = get_event_manager()
    manager.loggers.clear()
    manager.add_logger(LoggerConfig(name=f"test_{level}", level=level, output_stream=stream))
    manager.fire_event(SystemCouldNotWrite(path="a file", reason="full", exc="a"))
    manager.fire_event(SystemCouldNotWrite(path="raised", reason="full", exc="b"), EventLevel.WARN)
    manager.fire_event(Note(msg="an info"))
    return re.sub(r"\d\d:\d\d:\d\d", "", stream.getvalue())


@pytest.mark.parametrize("level", EventLevel)
def test_a_log_takes_the_lines_that_dbt_writes(level: EventLevel) -> None:
    plain = write_events(level)

    with quick_dbt():
        assert write_events(level) == plain

    assert ("raised" in plain) == (level != EventLevel.ERROR)
    assert ("a file" in plain) == (level in (EventLevel.DEBUG, EventLevel.TEST))


def test_an_event_that_no_log_takes_is_made_when_it_is_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[Any] = []
    parse = base_types.ParseDict
    monkeypatch.setattr(base_types, "ParseDict", lambda *a: [made.append(a), parse(*a)][1])
    with quick_dbt():
        manager = get_event_manager()
        manager.add_logger(
            LoggerConfig(name="test", level=EventLevel.INFO, output_stream=io.StringIO())
        )
        event = SystemCouldNotWrite(path="a file", reason="full", exc="a")
        manager.fire_event(event)
        assert made == []

        assert event.path == "a file"
        assert len(made) == 1


def test_outside_of_our_commands_dbt_is_as_it_was() -> None:
    def state() -> list[Any]:
        return [
            MacroNamespaceBuilder.build_namespace,
            PostgresAdapter.ConnectionManager,
            selector.GraphQueue,
            get_event_manager(),
            gc.isenabled(),
            BaseEvent.__init__,
        ]

    before = state()
    with quick_dbt():
        during = state()

    assert state() == before
    assert not any(a == b for a, b in zip(before, during, strict=True))


def test_another_version_of_dbt_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(VERSIONS, "dbt-core", "1.9.")
    with (
        pytest.raises(SettingsError, match=r"dbt-core 1.* is installed; .* with 1.9.x"),
        quick_dbt(),
    ):
        pass
