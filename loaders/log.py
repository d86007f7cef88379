"""The log of commands: JSON lines in `<home>/logs/run-<day>.jsonl`, a file a day of UTC.

Errors are also in `errors-<day>.jsonl`. A large file continues as `run-<day>.1.jsonl`; old files
are deleted.

    {"at": "2026-11-20T14:30:02.117Z", "level": "warning", "run": "20261120T143000-4f2a",
     "source": "ib", "job": 12, "event": "…", "detail": {…}}

`level` is info, warning, error or critical. The fields `schedule` (the scheduled job), `build` (the
number of a running build), `task`, `dataset`, `code`, `attempt`, `detail` and `traceback` (of
internal errors) appear where known.
`source` is the source of a load, `dbt` for a build, null for a command; `source_at` is the time by
its clock, where that is not this machine's. The outermost command makes
the id of a run and passes it to the commands that it starts, in the variable QUOTEMILL_RUN_ID.
Nothing is written before a command starts the log. A log that cannot be written stops no command:
that is reported once, and each further line is tried again.

The handlers of `logging` do not serve: several processes write the same file, and their rotation
replaces files that another process still writes to.
"""

import contextlib
import errno
import json
import logging
import os
import re
import secrets as random
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from traceback import format_exception
from typing import Any

from pydantic import BaseModel, SecretStr

from loaders.settings import Settings, load_settings
from quotemill.errors import (
    QuotemillError,
    SettingsError,
    UsageError,
    innermost,
    sqlstate,
    walk_causes,
)
from quotemill.masks import HIDDEN, find_passwords, mask_logins
from quotemill.settings.folders import make_private
from quotemill.settings.section import Section
from quotemill.warehouse.refusals import explain_refusal

LEVELS = ("debug", "info", "warning", "error", "critical")
FILES = "run-*.jsonl"
LARGEST = 20 * 2**20  # bytes of a file before the next part
# our files in the folder of logs: a day, its parts, and tracebacks of internal errors
OWN = re.compile(r"(?:(?:run|errors)-(\d{4}-\d\d-\d\d)(?:\.\d+)?\.jsonl|error-(\d{8})T\d{6}Z\.log)")
# variables of a command's environment; at its end it writes its exit code into the file named last
RUN_ID, SCHEDULE = "QUOTEMILL_RUN_ID", "QUOTEMILL_SCHEDULE"
EXIT_FILE = "QUOTEMILL_EXIT_FILE"
LONGEST, MOST = 10_000, 200  # characters of a text, entries of a detail
_NAMED = re.compile(
    r"(?i)\b(pass(?:word|wd|phrase)?|secret|token|api[_-]?key|authorization)"
    r"""(["']?\s*[=:]\s*["']?)(?:bearer\s+|basic\s+)?[^\s"',;&}]+"""
)
# at least eight characters with digits and letters, or sixteen: no host, no word of a path
_TOKEN = re.compile(r"(?=[^.]*[0-9])(?=[^.]*[A-Za-z])[^.\s]{8,}|[^.\s]{16,}")
# begins PostgreSQL's codes of a broken connection, a server that stops, a full one, and a lock that
# is held for too long
_LOST = ("08", "57P", "53100", "53300", "55P03")
_log = logging.getLogger(__name__)
_folder: Path | None = None
_secrets: tuple[str, ...] = ()
_run: dict[str, str] = {}  # run, and schedule where one started it
_build: int | None = None  # that runs in this process
_is_reported = False  # that the log cannot be written
_torn: set[Path] = set()  # files in which this process left an incomplete line
_bounds = (30, 500)  # days that files stay, and megabytes of all of them


def start(
    folder: Path, secrets: Iterable[str] = (), *, days: int = 30, megabytes: int = 500
) -> None:
    """Write into `folder` from now on, without the `secrets`.

    Deletes files older than `days`, and the oldest while all together exceed `megabytes`.
    """
    global _folder, _secrets, _run, _bounds, _is_reported
    _folder, _bounds, _is_reported = folder, (days, megabytes), False
    _torn.clear()
    _prune(folder)
    _run = {"run": os.environ.get(RUN_ID) or new_run_id()}
    if schedule := os.environ.get(SCHEDULE):
        _run["schedule"] = schedule
    # the longest first: one may hold another
    _secrets = tuple(sorted({s for s in secrets if s}, key=len, reverse=True))


def stop() -> None:
    global _folder, _run, _build
    _folder, _run, _build = None, {}, None


def name_build(build_id: int | None) -> None:
    """Give each further line the number of a build, until None."""
    global _build
    _build = build_id


def find_file() -> Path | None:
    """The file that has the lines of this command; None if it wrote none."""
    path = _folder / f"run-{datetime.now(UTC):%Y-%m-%d}.jsonl" if _folder else None
    return path if path and path.is_file() else None


def new_run_id() -> str:
    """An id that sorts by the start of the run, in UTC: 20261121T093000-4f2a."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{random.token_hex(2)}"


def run_id() -> str:
    """The id of this run; before the log is started that of the environment, else a new one."""
    return _run.get("run") or os.environ.get(RUN_ID) or new_run_id()


def write(
    level: str,
    event: str,
    *,
    source: str | None = None,
    job: int | None = None,
    task: int | None = None,
    dataset: str | None = None,
    code: str | None = None,
    attempt: int | None = None,
    detail: Mapping[str, Any] | None = None,
    traceback: str | None = None,
    source_at: datetime | None = None,
) -> None:
    """Append a line; lines of several processes do not mix. `source_at`: by the source's clock."""
    global _is_reported
    if _folder is None:
        return
    at = datetime.now(UTC)
    where = {"task": task, "dataset": dataset, "code": code, "attempt": attempt}
    fields = {
        **{"at": f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03}Z", "level": level},
        **_run,
        **({"build": _build} if _build is not None else {}),
        **{"source": source, "job": job},
        **({"source_at": f"{source_at:%Y-%m-%dT%H:%M:%SZ}"} if source_at else {}),
        **{name: value for name, value in where.items() if value is not None},
        "event": event,
        **({"detail": detail} if detail else {}),
        **({"traceback": traceback} if traceback else {}),
    }
    line = json.dumps(_clean(fields), ensure_ascii=False) + "\n"
    try:
        make_private(_folder)
        data, day = line.encode("utf-8", "replace"), f"{at:%Y-%m-%d}.jsonl"
        _append(_folder / f"run-{day}", data)
        if level in ("error", "critical"):
            _append(_folder / f"errors-{day}", data)
    except OSError as error:
        if not _is_reported:
            _is_reported = True
            _log.warning("cannot write the log in %s: %s", _folder, error.strerror)


def _append(path: Path, line: bytes) -> None:
    """Write a line in one call; an incomplete line of a full disk is ended before the next."""
    line = b"\n" + line if path in _torn else line
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        written = os.write(file, line)
        size = os.fstat(file).st_size
    finally:
        os.close(file)
    if written < len(line):
        _torn.add(path)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    _torn.discard(path)
    if size >= LARGEST:
        _rotate(path)


def _rotate(path: Path) -> None:
    """Continue a file under the next number; two processes may do so at once."""
    number = 1
    while (old := path.with_suffix(f".{number}.jsonl")).exists():
        number += 1
    with contextlib.suppress(FileNotFoundError):
        path.rename(old)
    _prune(path.parent)


def _prune(folder: Path) -> None:
    """Delete files beyond the bounds, but never the newest."""
    days, megabytes = _bounds
    last = f"{datetime.now(UTC) - timedelta(days=days):%Y-%m-%d}"
    size = 0
    with contextlib.suppress(OSError):
        files = [(file_day(path.name), path) for path in folder.iterdir()]
        for number, (day, path) in enumerate(sorted(((d, p) for d, p in files if d), reverse=True)):
            size += path.stat().st_size
            # for a clock that is ahead all of them are old
            if number and (day < last or size > megabytes * 2**20):
                path.unlink(missing_ok=True)


def file_day(name: str) -> str | None:
    """The day (2026-11-20) of a file of the log by its name; None for other files."""
    match = OWN.fullmatch(name)
    if match is None:
        return None
    day, compact = match.groups()
    return day or f"{compact[:4]}-{compact[4:6]}-{compact[6:]}"


def write_error(error: QuotemillError, source: str | None = None) -> None:
    """Append an error that ended something. A wrong call or setting creates no home.

    A wrong call is no problem of the day: its line is plain information. An internal error is
    logged with its traceback.
    """
    if isinstance(error, UsageError | SettingsError) and (_folder is None or not _folder.is_dir()):
        return
    cause = error.__cause__ if type(error) is QuotemillError else None
    level = "info" if isinstance(error, UsageError) else "error" if cause is None else "critical"
    write(
        level,
        str(error),
        source=source or error.source,
        detail={"kind": type(error).__name__, "exit_code": error.exit_code, "hint": error.hint},
        traceback="".join(format_exception(cause)) if cause else None,
    )


def explain(error: Exception) -> QuotemillError:
    """An error as one of ours: what the warehouse refuses or breaks off, else the traceback."""
    if isinstance(error, QuotemillError):
        return error
    settings = _settings()
    if known := explain_refusal(error, settings) or _explain_lost(error, settings):
        known.__cause__ = error
        return known
    hint = f"Report this bug and attach {_keep_traceback(error)}, which has the traceback."
    known = QuotemillError(f"internal error: {innermost(error)}", hint=hint)
    known.__cause__ = error
    return known


def _explain_lost(error: Exception, settings: Settings | None) -> QuotemillError | None:
    """A connection to the warehouse that broke in the midst of work that nobody repeats.

    libpq gives what it finds itself no code.
    """
    from psycopg import OperationalError

    from quotemill.warehouse.opening import build_embedded, name_warehouse

    causes = [c for c in walk_causes(error) if isinstance(c, OperationalError)]
    lost = next((c for c in causes if (sqlstate(c) or _LOST[0]).startswith(_LOST)), None)
    if lost is None or settings is None:
        return None
    if settings.warehouse_url is not None:
        return name_warehouse(settings).away(lost)
    return build_embedded(settings, "", None).away(lost)


def _settings() -> Settings | None:
    with contextlib.suppress(QuotemillError):
        return load_settings()
    return None


def _keep_traceback(error: Exception) -> str:
    text = scrub("".join(format_exception(error)))
    try:
        folder = _folder or load_settings().home / "logs"
        make_private(folder)
        path = folder / f"error-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.log"
        path.write_text(text, "utf-8")
    except Exception:  # without a place to write, the terminal must do
        print(text, file=sys.stderr)  # noqa: T201
        return "the text above"
    return str(path)


def scrub(text: str) -> str:
    """A text without passwords and tokens: those of the settings, of URLs, and what is named so."""
    for secret in _secrets:
        text = text.replace(secret, HIDDEN)
    return _NAMED.sub(rf"\1\2{HIDDEN}", mask_logins(text, HIDDEN))


def collect_secrets(settings: BaseModel) -> set[str]:
    """The secrets in settings, with the passwords in their URLs; short ones are ordinary words."""
    secrets: set[str] = set()
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        for item in value if isinstance(value, list | tuple) else [value]:
            if isinstance(item, BaseModel):
                secrets |= collect_secrets(item)
            elif isinstance(item, SecretStr):
                text = item.get_secret_value()
                secrets |= {text, *find_passwords(text)}
                if isinstance(settings, Section) and settings.has_tokens_in_addresses:
                    secrets |= _tokens(text)
    return {secret for secret in secrets if len(secret) > 3}


def _tokens(text: str) -> set[str]:
    """The parts of a channel's address that look like tokens."""
    parts = re.split(r"[/?&=:@#]+", text.partition("://")[2])
    return {part for part in parts if _TOKEN.fullmatch(part)}


class Handler(logging.Handler):
    """Writes the warnings of the loaders to the log."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)

    def emit(self, record: logging.LogRecord) -> None:
        if record.name == __name__:  # the warning that the log cannot be written
            return
        parts = record.name.split(".")
        write(
            record.levelname.lower(),
            record.getMessage(),
            source=parts[1] if len(parts) > 2 else None,
        )


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return scrub(value)[:LONGEST]
    if isinstance(value, Mapping):
        return {scrub(str(name)): _clean(item) for name, item in islice(value.items(), MOST)}
    if isinstance(value, list | tuple):
        return [_clean(item) for item in value[:MOST]]
    if value is None or isinstance(value, int | float):
        return value
    return scrub(str(value))[:LONGEST]
