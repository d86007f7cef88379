"""dbt's events: only those that a log takes are made.

Each statement has five events of level debug. dbt fills two messages for each and writes it as a
line twice, of which Python's logging then takes none.
"""

from collections.abc import Callable
from typing import Any


def skip_unheard_events(replace: Callable[[Any, str, Any], None]) -> None:
    """Let events of level debug cost nothing where no log takes that level."""
    from dbt_common.events.base_types import BaseEvent, DebugLevel, EventLevel
    from dbt_common.events.event_manager import EventManager

    make: Any = BaseEvent.__init__
    read: Any = BaseEvent.__getattr__
    fire = EventManager.fire_event

    def make_when_read(event: Any, *args: Any, **values: Any) -> None:
        if args or not isinstance(event, DebugLevel):
            make(event, *args, **values)
        else:
            vars(event)["unmade"] = values

    def read_made(event: Any, key: str) -> Any:
        values = vars(event).pop("unmade", None)
        if values is not None:
            make(event, **values)
        return read(event, key)

    def fire_if_heard(
        manager: Any,
        event: Any,
        level: EventLevel | None = None,
        node: Any = None,
        force_warn_or_error_handling: bool = False,
    ) -> None:
        is_debug = level is None and isinstance(event, DebugLevel)
        if force_warn_or_error_handling or not is_debug or _hears_debug(manager):
            fire(manager, event, level, node, force_warn_or_error_handling)

    replace(BaseEvent, "__init__", make_when_read)
    replace(BaseEvent, "__getattr__", read_made)
    replace(EventManager, "fire_event", fire_if_heard)


def _hears_debug(manager: Any) -> bool:
    """Does a log take events of level debug? dbt's own callback waits for warnings alone."""
    logs = (logger._python_logger for logger in manager.loggers)
    return any(log is None or log.isEnabledFor(10) for log in logs)
