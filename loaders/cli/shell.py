"""Shared by both command lines: errors as text and exit codes, parsing of options, output."""

import contextlib
import json
import logging
import os
import re
import shutil
import signal
import sys
import textwrap
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, tzinfo
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, NoReturn, TextIO
from unicodedata import east_asian_width

import typer

from loaders import log, sources, trading_time
from loaders.engine.progress import discard, print_line
from loaders.engine.signals import handled
from loaders.files import whole_file
from loaders.requests import counts as request_counts
from loaders.settings import Settings
from loaders.trading_time import SHANGHAI
from quotemill.errors import INTERRUPTED, QuotemillError, UsageError

JsonFlag = Annotated[bool, typer.Option("--json", help="Print the result as JSON on stdout.")]
AsOf = Annotated[
    str | None,
    typer.Option("--as-of", help="Run as if it were this time (2024-06-28T16:00, Shanghai time)."),
]
EvaluatedAt = Annotated[
    str | None,
    typer.Option("--as-of", help="Evaluate as of this time (2024-06-28T16:00, Shanghai time)."),
]
DeleteYes = Annotated[bool, typer.Option("--yes", help="Delete without asking.")]
ReplaceYes = Annotated[
    bool, typer.Option("--yes", help="Replace the contents of the warehouse without asking.")
]
Verbose = Annotated[bool, typer.Option("--verbose", help="Print each request and retry.")]
CLOSED = 141  # 128 and SIGPIPE, by which other programs end then
_COMMAND = re.compile(r"\b(?:quotemill|loaders) [^;,:`()]{1,50}")
_log = logging.getLogger("loaders")
_level = logging.WARNING  # of lines on stderr
_answered = False  # whether this process has printed its JSON
_warned = deque[str](maxlen=100)  # the newest of these lines


def run_app(app: typer.Typer) -> NoReturn:
    """Run a command line. Our errors become a message, a hint and their exit code.

    With --json an object on stdout has them too, unless the command printed one. Where a variable
    names a file for the exit code, it is there at the end.
    """
    exit_file = os.environ.pop(log.EXIT_FILE, None)  # not for the commands that this one starts
    try:
        _run_app(app)
    except SystemExit as ending:
        ending.code = _find_exit_code(ending)
        # of a wrong call or setting the message says all
        if ending.code in (1, 4, 6) and (file := log.find_file()):
            print_line(f"log: {file}")
        if exit_file:
            with contextlib.suppress(OSError):  # a full disk does not change how a command ends
                Path(exit_file).write_text(f"{ending.code or 0}", "utf-8")
        log.stop()
        raise


def _find_exit_code(ending: SystemExit) -> str | int | None:
    """The exit code; as of a killed process where the reader of stdout, such as `head`, is gone."""
    is_closed = isinstance(ending.__context__, BrokenPipeError)
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        is_closed = is_closed or not ending.code
        discard(sys.stdout)
    return CLOSED if is_closed else ending.code


def _run_app(app: typer.Typer) -> NoReturn:
    _warned.clear()
    route_logs(lambda text: print_wrapped(text, file=sys.stderr))
    try:
        with request_counts.retries_counted(), handled({signal.SIGTERM: _stop}):
            app(standalone_mode=True)
    except SystemExit as ending:  # the command ended, or typer refused the call
        refusal = getattr(ending.__context__, "format_message", None)
        if isinstance(ending.__context__, BrokenPipeError):
            pass  # nobody reads an answer
        elif ending.code == INTERRUPTED:
            _answer(INTERRUPTED, "stopped", "Run it again to continue.")
        elif ending.code:
            _answer(int(ending.code), refusal() if refusal else None, "")
        raise
    except Exception as error:
        known = log.explain(error)
        print_error(known)
        _answer(known.exit_code, str(known), known.hint)
        sys.exit(known.exit_code)
    sys.exit(0)


def _stop(_signal: int, _frame: FrameType | None) -> None:
    """End as by Ctrl-C, which a shell's `&` disables: queries and child processes end, too."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        raise KeyboardInterrupt
    signal.raise_signal(signal.SIGINT)


def print_error(error: QuotemillError) -> None:
    """Print message and hint of an error on stderr, the message unless a warning had it; log it."""
    log.write_error(error)
    is_known = any(text.startswith(f"{error}. ") for text in _warned)
    for line in "\n".join(error.lines[is_known:]).splitlines():
        print_wrapped(line, file=sys.stderr)


def _answer(exit_code: int, error: str | None, hint: str) -> None:
    if "--json" in sys.argv and not _answered:
        print_json({"exit_code": exit_code, "error": error, "hint": hint})


class _LineHandler(logging.Handler):
    """Passes each line of a log to a function."""

    def __init__(self, write: Callable[[str], object]) -> None:
        super().__init__(_level)
        self._write = write

    def emit(self, record: logging.LogRecord) -> None:
        _warned.append(text := record.getMessage())
        self._write(text)


def route_logs(write: Callable[[str], object]) -> None:
    """Send the loaders' warnings to `write`; with --verbose every request and retry too."""
    files = [handler for handler in _log.handlers if isinstance(handler, logging.FileHandler)]
    _log.handlers = [*files, log.Handler(), _LineHandler(write)]
    _log.propagate = False
    # its warnings are of errors that it ignores, beside the one that is said
    logging.getLogger("psycopg").setLevel(logging.ERROR)
    _log.setLevel(logging.DEBUG if files else _level)


def start_logs(settings: Settings, verbose: bool = False) -> None:
    """Start the log of this command, with requests where the settings or `verbose` ask for them."""
    log.start(
        settings.home / "logs",
        log.collect_secrets(settings),
        days=settings.log_days,
        megabytes=settings.log_megabytes,
    )
    log_requests(settings.request_log, verbose)


def log_requests(file: Path | None, verbose: bool) -> None:
    """Log every request and retry: on stderr with `verbose`, and to `file`, if one is set.

    Raises SettingsError for a file that cannot be written.
    """
    global _level
    _level = logging.DEBUG if verbose else logging.WARNING
    if file is None:
        return
    with whole_file.explain_unwritable(f"request_log {file}"):
        file.parent.mkdir(parents=True, exist_ok=True)
        handler = logging.FileHandler(file, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    _log.addHandler(handler)


def print_json(value: Any) -> None:
    """Print the answer of a command to a program: one object or list on stdout."""
    global _answered
    _answered = True
    print(json.dumps(value, ensure_ascii=False, indent=2, default=str))


def print_answer(document: Any, json: bool, show: Callable[[], None]) -> None:
    """Print the answer of a command: its JSON document, or what `show` prints for people."""
    if json:
        print_json(document)
    else:
        show()


def confirm(question: str, does: str, hint: str = "Add --yes to delete without asking.") -> None:
    """Ask a person before something is lost; a script gets a UsageError that says what this is."""
    if not sys.stdin.isatty():
        raise UsageError(f"this {does}", hint=hint)
    typer.confirm(question, abort=True, err=True)


def print_facts(facts: Mapping[str, object]) -> None:
    """Print named values, a line each; a size in MB."""
    for name, value in facts.items():
        if name == "size_bytes":
            name, value = "size", f"{int(str(value)) / 1e6:.1f} MB"
        shown = ("no", "yes")[value] if isinstance(value, bool) else value or "none"
        print(f"{name.replace('_', ' ') + ':':20} {shown}")


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """Print rows of texts with aligned columns; nothing without rows."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print_wrapped("  ".join(cells).rstrip(), sum(widths[:-1]) + 2 * len(widths[:-1]))


def print_wrapped(text: str, indent: int = 4, file: TextIO | None = None) -> None:
    """Print a line; on a terminal that is narrower, in several that break between words."""
    file = file or sys.stdout
    width = shutil.get_terminal_size().columns
    if file.isatty() and indent < width / 2:
        text = wrap_line(text, width, indent)
    if file is sys.stderr:
        print_line(text)
    else:
        print(text, file=file, flush=True)


def wrap_line(text: str, width: int, indent: int = 4) -> str:
    """Lines that break between words; a command stays in one line, to be copied."""
    whole = _COMMAND.sub(lambda command: command[0].replace(" ", "\0"), text)
    # a Chinese character fills two places
    filled = "".join(f"{char}\1" if east_asian_width(char) in "WF" else char for char in whole)
    lines = textwrap.wrap(
        filled,
        width,
        subsequent_indent=" " * indent,
        replace_whitespace=False,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "\n".join(lines).replace("\0", " ").replace("\1", "")


def parse_source_and_job(source: str | None, job: int | None) -> tuple[str | None, int | None]:
    """The arguments of a command that takes a source, a job or both: `12`, `tdx`, `tdx 12`.

    Raises UsageError for an unknown source.
    """
    if source is not None and source.isdigit() and job is None:
        return None, int(source)
    if source is not None:
        sources.find(source)
    return source, job


def parse_day(
    text: str | None, zone: tzinfo = SHANGHAI, as_of: datetime | None = None
) -> date | None:
    """A day; `today` and `yesterday` are in `zone`, that of the exchange. Raises UsageError."""
    now = as_of or datetime.now(UTC)
    return None if text is None else trading_time.parse_day(text, now.astimezone(zone).date())


def parse_time(text: str | None, zone: tzinfo = SHANGHAI) -> datetime | None:
    """A time; without an offset it is in `zone`, that of the exchange. Raises UsageError."""
    if text is None:
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"not a time like 2024-06-28T16:00: {text!r}") from None
    return time if time.tzinfo else time.replace(tzinfo=zone)
