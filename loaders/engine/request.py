"""The request of a load."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from pydantic import TypeAdapter

from quotemill.errors import UsageError
from quotemill.warehouse.dbt_project import find_project

VERSION = 2  # of the form that jobs are stored in


@dataclass(frozen=True)
class LoadRequest:
    """The request of a load. None means all keys, and the datasets of the mode.

    `mode` is init (whole histories), incremental (what is new), realtime (what is missing of the
    running session), or another mode of the source. Dates are the exchange's, both included.
    `options` are those of the source: text by name, without what was not given.
    `accept_loss` takes the source's present state of the named datasets where a guard refuses it,
    because rows are gone.
    """

    source: str
    mode: str = "incremental"
    datasets: tuple[str, ...] | None = None
    keys: tuple[str, ...] | None = None
    since: date | None = None
    until: date | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    accept_loss: bool = False

    def accepts_loss_of(self, dataset: str) -> bool:
        """Whether guards of a dataset let a loss pass."""
        return self.accept_loss and dataset in (self.datasets or ())

    def parameters(self) -> dict[str, Any]:
        """As the job's record holds it."""
        # jobs of before have no word of a loss, and are compared by all
        left_out = None if self.accept_loss else {"accept_loss"}
        values = TypeAdapter(LoadRequest).dump_python(self, mode="json", exclude=left_out)
        return {**values, "version": VERSION}


def read_request(parameters: Mapping[str, Any]) -> LoadRequest:
    """The request that a job was recorded with.

    Raises UsageError for one of another version.
    """
    if parameters.get("version") != VERSION:
        raise UsageError(
            "the load was recorded by another version of quotemill",
            hint="Retry it with that version.",
        )
    return TypeAdapter(LoadRequest).validate_python(parameters)


def unknown_dataset(names: Sequence[str], known: Sequence[str]) -> UsageError:
    """The refusal of names that are not datasets; for a table of dbt what builds it."""
    name = names[0]
    if any(find_project().dbt.glob(f"models/*/*/{name}.sql")):
        return UsageError(
            f"{name} is not loaded, but built from loaded tables",
            hint=f"Run `quotemill build`, or `quotemill dbt build -s {name}` to build only "
            "this table.",
        )
    near = difflib.get_close_matches(name, known, n=1)
    guess = f"; did you mean {near[0]}?" if near else ""
    return UsageError(
        f"unknown dataset: {', '.join(names)}{guess}", hint=f"Choose from: {', '.join(known)}."
    )
