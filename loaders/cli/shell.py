"""What both command lines share: how errors become words and exit codes, and parsing of options."""

import json
import logging
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date, datetime, tzinfo
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, NoReturn, TypeVar

import typer

from loaders import log, sources
from loaders.errors import INTERRUPTED, QuotemillError, SettingsError, UsageError
from loaders.settings import Settings
from loaders.trading_time import SHANGHAI

JsonFlag = Annotated[bool, typer.Option("--json", help="Print the result as JSON on stdout.")]
AsOf = Annotated[
    str | None,
    typer.Option("--as-of", help="Act as if it were this instant (2024-06-28T16:00, Shanghai)."),
]
Verbose = Annotated[bool, typer.Option("--verbose", help="Tell of each request and retry.")]
T = TypeVar("T")
_log = logging.getLogger("loaders")
_level = logging.WARNING  # of what is told on stderr
_answered = False  # whether this process has printed its object


def run_app(app: typer.Typer) -> NoReturn:
    """Run a command line. Our errors become a message, a hint and their exit code; with --json an
    object on stdout has them too, where the command printed none."""
    route_logs(lambda text: print(text, file=sys.stderr, flush=True))
    try:
        app(standalone_mode=True)
    except SystemExit as ending:  # the command's own end, or a call that typer refused
        refusal = getattr(ending.__context__, "format_message", None)
        if ending.code == INTERRUPTED:
            _answer(INTERRUPTED, "stopped", "run again to continue")
        elif ending.code:
            _answer(int(ending.code), refusal() if refusal else None, "")
        raise
    except Exception as error:
        known = log.explain(error)
        print_error(known)
        _answer(known.exit_code, str(known), known.hint)
        sys.exit(known.exit_code)
    sys.exit(0)


def print_error(error: QuotemillError, source: str | None = None) -> None:
    """Print message and hint of an error on stderr, and log it."""
    log.write_error(error, source)
    print(*error.lines, sep="\n", file=sys.stderr)


def _answer(exit_code: int, error: str | None, hint: str) -> None:
    if "--json" in sys.argv and not _answered:
        print_json({"exit_code": exit_code, "error": error, "hint": hint})


class _To(logging.Handler):
    """Writes each line of a log by a function."""

    def __init__(self, write: Callable[[str], object]) -> None:
        super().__init__(_level)
        self._write = write

    def emit(self, record: logging.LogRecord) -> None:
        self._write(record.getMessage())


def route_logs(write: Callable[[str], object]) -> None:
    """Send the loaders' log to `write` as plain lines: its warnings; with --verbose every request and
    retry too."""
    kept = [handler for handler in _log.handlers if isinstance(handler, logging.FileHandler)]
    _log.handlers = [*kept, log.Handler(), _To(write)]
    _log.propagate = False
    _log.setLevel(logging.DEBUG if kept else _level)


def start_logs(settings: Settings, verbose: bool = False) -> None:
    """Keep the log of this command, and the requests where the settings or `verbose` ask for them."""
    log.start(
        settings.home / "logs",
        log.secrets_of(settings),
        days=settings.log_days,
        megabytes=settings.log_megabytes,
    )
    log_requests(settings.request_log, verbose)


def log_requests(file: Path | None, verbose: bool) -> None:
    """Tell every request and retry too: with `verbose` on stderr, and append them to `file`, if one.

    Raises SettingsError for a file that cannot be written.
    """
    global _level
    _level = logging.DEBUG if verbose else logging.WARNING
    if file is None:
        return
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        handler = logging.FileHandler(file, encoding="utf-8")
    except OSError as error:
        raise SettingsError(f"request_log {file} cannot be written: {error.strerror}") from None
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    _log.addHandler(handler)


@contextmanager
def signals(
    handlers: Mapping[signal.Signals, Callable[[int, FrameType | None], Any]],
) -> Iterator[None]:
    """Handle these signals so for a block; those of before get their handlers back."""
    before = {sent: signal.signal(sent, handler) for sent, handler in handlers.items()}
    try:
        yield
    finally:
        for sent, handler in before.items():
            signal.signal(sent, handler)


def print_json(value: Any) -> None:
    """Print what a command answers a program: one object (or list) on stdout."""
    global _answered
    _answered = True
    print(json.dumps(value, ensure_ascii=False, indent=2, default=str))


def source_and_job(source: str | None, job: int | None) -> tuple[str | None, int | None]:
    """The arguments of a command that takes a source, a job or both: `12`, `tdx`, `tdx 12`.

    Raises UsageError for a source that there is not.
    """
    if source is not None and source.isdigit() and job is None:
        return None, int(source)
    if source is not None:
        sources.find(source)
    return source, job


def parse_day(text: str | None) -> date | None:
    """A day in the form 2024-06-28. Raises UsageError."""
    return None if text is None else _parsed(text, date.fromisoformat, "a day like 2024-06-28")


def parse_instant(text: str | None, zone: tzinfo = SHANGHAI) -> datetime | None:
    """An instant; without an offset it is of `zone`, the time of the exchange. Raises UsageError."""
    if text is None:
        return None
    instant = _parsed(text, datetime.fromisoformat, "an instant like 2024-06-28T16:00")
    return instant if instant.tzinfo else instant.replace(tzinfo=zone)


def _parsed(text: str, parse: Callable[[str], T], wanted: str) -> T:
    try:
        return parse(text)
    except ValueError:
        raise UsageError(f"{text!r} is not {wanted}") from None
