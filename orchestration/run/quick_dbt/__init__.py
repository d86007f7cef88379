"""dbt in this process without work that changes none of its results.

dbt 1.11 builds each context, event and connection of its 350 nodes from nothing: most of the CPU
that it takes beside the server. Plain `dbt` runs as it is.
"""

import contextlib
import gc
from collections.abc import Iterator
from typing import Any

from orchestration.run.quick_dbt.connections import keep_connections
from orchestration.run.quick_dbt.contexts import make_macros_when_called
from orchestration.run.quick_dbt.events import skip_unheard_events
from orchestration.run.quick_dbt.results import share_testers
from orchestration.run.quick_dbt.templates import compile_templates_once

# dbt holds all that it parses: by Python's default each collection goes through it again
THRESHOLDS = (100_000, 50, 100)
_INHERITED = object()


@contextlib.contextmanager
def quick_dbt() -> Iterator[None]:
    """Let dbt's commands in this process skip repeated work."""
    before: list[tuple[Any, str, Any]] = []

    def replace(owner: Any, name: str, value: Any) -> None:
        before.append((owner, name, vars(owner).get(name, _INHERITED)))
        setattr(owner, name, value)

    thresholds = gc.get_threshold()
    try:
        gc.set_threshold(*THRESHOLDS)
        skip_unheard_events(replace)
        keep_connections(replace)
        make_macros_when_called(replace)
        compile_templates_once(replace)
        share_testers(replace)
        yield
    finally:
        for owner, name, value in reversed(before):
            if value is _INHERITED:
                delattr(owner, name)
            else:
                setattr(owner, name, value)
        gc.set_threshold(*thresholds)
