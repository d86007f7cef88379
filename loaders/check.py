"""The verdict on one fact, and the runner of checks.

Every command that answers whether all is well makes and prints these.
"""

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from loaders import log, trading_time
from quotemill.errors import DataQualityError, QuotemillError, SettingsError

# by severities of findings and alerts
FINDING_VERDICTS = {"error": "fail", "warning": "warn", "info": "ok"}


@dataclass(frozen=True)
class Check:
    """Result of one check.

    verdict     ok, warn, fail, or unknown if it could not be made
    sentence    the state, the problem, or the reason for `unknown`
    fix         command or step that repairs it
    exit_code   exit code of the error behind a `fail`
    subject     the checked symbol, source, job or dataset; empty if the check is not about one
    figures     values behind the verdict, by name
    elapsed_ms  duration; None if it was not measured
    """

    name: str
    verdict: str
    sentence: str = ""
    fix: str = ""
    exit_code: int = 0
    subject: str = ""
    figures: Mapping[str, Any] = field(default_factory=dict)
    elapsed_ms: int | None = None

    def __str__(self) -> str:
        return f"{self.verdict:<7} {self.name}  {self.sentence}".rstrip()

    @property
    def text(self) -> str:
        """The sentence; of a check without one its figures."""
        figures = (f"{name} {_shorten(value)}" for name, value in self.figures.items())
        return self.sentence or ", ".join(figures)

    def as_json(self) -> dict[str, Any]:
        """The row of a check in every document; a command adds the older names of its own."""
        return {
            "name": self.name,
            "verdict": self.verdict,
            "sentence": self.text,
            "fix": self.fix,
            "subject": self.subject,
            "exit_code": self.exit_code,
        }


def _shorten(value: Any) -> str:
    if isinstance(value, Mapping):
        return " ".join(f"{name}:{item}" for name, item in value.items())
    return " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


class CheckFailed(DataQualityError):
    """Raised by a check that fails, with the values behind it."""

    def __init__(self, text: str, figures: Mapping[str, Any] | None = None) -> None:
        super().__init__(text)
        self.figures = figures or {}


class NotApplicable(Exception):
    """Raised by a check that cannot be made; the text is the reason."""


def run_checks(checks: Iterable[tuple[str, Callable[[], Iterable[Check]]]]) -> Iterator[Check]:
    """Run each named check, even if others fail; an exception becomes a failed check."""
    for name, check in checks:
        started = time.monotonic()
        for result in _run_check(name, check):
            yield replace(result, elapsed_ms=round((time.monotonic() - started) * 1000))


def _run_check(name: str, check: Callable[[], Iterable[Check]]) -> Iterator[Check]:
    try:
        yield from check()
    except NotApplicable as reason:
        yield Check(name, "unknown", str(reason))
    except Exception as error:
        yield failed(name, log.explain(error))


def failed(name: str, error: QuotemillError) -> Check:
    """A check that failed with an error that would end a command."""
    figures = error.figures if isinstance(error, CheckFailed) else {}
    return Check(
        name, "fail", str(error), fix=error.hint, exit_code=error.exit_code, figures=figures
    )


def describe_service(text: str, warnings: Iterable[str], figures: Mapping[str, Any]) -> Check:
    """The check of a source that answers; its figures hold the warnings too."""
    noted = tuple(warnings)
    status = "warn" if noted else "ok"
    return Check("service", status, text, figures={**figures, "warnings": noted})


def check_holidays(now: datetime) -> Check:
    """Check that the published holidays of China's exchanges reach far enough."""
    if trading_time.ends_soon(now):
        fix = "Upgrade pandas-market-calendars once a release has next year's trading days."
        return Check("horizon", "warn", trading_time.describe_horizon(), fix)
    return Check("horizon", "ok", f"announced holidays reach {trading_time.horizon()}")


def check_paths(paths: Iterable[tuple[str, Path | None, str]]) -> Iterator[Check]:
    """Failed checks of paths in settings: (setting, its value, its meaning)."""
    for setting, path, what in paths:
        if path is not None and not (path.exists() and os.access(path, os.R_OK)):
            why = "cannot be read" if path.exists() else "does not exist"
            hint = f"Mount or create it, or change {setting} ({what})."
            yield failed("files", SettingsError(f"{setting}: {path} {why}", hint=hint))
