"""One check of `quotemill doctor`, of the project's own or of a source."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from loaders.errors import QuotemillError, SettingsError


@dataclass(frozen=True)
class Check:
    """`fix` is the command that repairs it, `exit_code` that of the error behind a `fail`."""

    name: str
    status: str  # ok, warn, fail
    seen: str
    fix: str = ""
    exit_code: int = 0

    def as_json(self) -> dict[str, Any]:
        values = asdict(self)
        return {"mend" if name == "fix" else name: value for name, value in values.items()}


def failed(name: str, error: QuotemillError) -> Check:
    """A check that failed with an error that would end a command."""
    return Check(name, "fail", str(error), error.hint, error.exit_code)


def check_paths(paths: Iterable[tuple[str, Path | None, str]]) -> Iterator[Check]:
    """Failed checks of paths that settings name: (setting, its value, what it names)."""
    for setting, path, what in paths:
        if path is not None and not (path.exists() and os.access(path, os.R_OK)):
            why = "cannot be read" if path.exists() else "is not there"
            hint = f"{setting} names {what}: mount or create it, or change the setting"
            yield failed("files", SettingsError(f"{setting}: {path} {why}", hint=hint))
