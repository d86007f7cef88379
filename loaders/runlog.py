"""The log of what runs: JSON lines in `<home>/logs/run-<day>.jsonl`, a file a day of UTC.

    {"at": "2026-11-20T14:30:02.117Z", "level": "warning", "source": "ib", "job": 12, "event": "…", "detail": {…}}

`level` is info, warning, error or critical; `detail` and, of internal errors, `traceback` are there where they
tell something. `source` is that of a load, `dbt` of a build, null of a command. Nothing is written before a
command has started the log, and one that cannot be written stops nobody: that is said once, and each further
line is tried anew.
"""

import errno
import json
import logging
import os
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from traceback import format_exception
from typing import Any
from urllib.parse import quote, unquote

from pydantic import BaseModel, SecretStr

from loaders.errors import QuotemillError, SettingsError, UsageError

LEVELS = ("debug", "info", "warning", "error", "critical")
FILES = "run-*.jsonl"
HIDDEN = "***"
LONGEST, MOST = 10_000, 200  # characters of a text and entries of a detail that are kept
_IN_URL = re.compile(r"://[^/@\s]+@")
_NAMED = re.compile(
    r"(?i)\b(pass(?:word|wd|phrase)?|secret|token|api[_-]?key|authorization)"
    r"""(["']?\s*[=:]\s*["']?)(?:bearer\s+|basic\s+)?[^\s"',;&}]+"""
)
_log = logging.getLogger(__name__)
_folder: Path | None = None
_secrets: tuple[str, ...] = ()
_is_told = False  # that no log is kept
_is_torn = False  # whether this process left a line without its end


def start(folder: Path, secrets: Iterable[str] = ()) -> None:
    """Write into `folder` from now on; `secrets` are replaced wherever they turn up."""
    global _folder, _secrets, _is_told
    _folder, _is_told = folder, False
    # the longest first: one may hold another
    _secrets = tuple(sorted({s for s in secrets if s}, key=len, reverse=True))


def stop() -> None:
    global _folder
    _folder = None


def write(
    level: str,
    event: str,
    *,
    source: str | None = None,
    job: int | None = None,
    detail: Mapping[str, Any] | None = None,
    traceback: str | None = None,
) -> None:
    """Append a line; lines of several processes do not mix."""
    global _is_told
    if _folder is None:
        return
    at = datetime.now(UTC)
    fields = {
        **{"at": f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03}Z", "level": level},
        **{"source": source, "job": job, "event": event},
        **({"detail": detail} if detail else {}),
        **({"traceback": traceback} if traceback else {}),
    }
    line = json.dumps(_clean(fields), ensure_ascii=False) + "\n"
    try:
        _folder.mkdir(parents=True, exist_ok=True)
        path = _folder / f"run-{at:%Y-%m-%d}.jsonl"
        _append(path, line.encode("utf-8", "replace"))
    except OSError as error:
        if not _is_told:
            _is_told = True
            _log.warning("no log is kept in %s: %s", _folder, error.strerror)


def _append(path: Path, line: bytes) -> None:
    """Write a line at once; one that a full disk cut short is ended before the next one."""
    global _is_torn
    line = b"\n" + line if _is_torn else line
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        written = os.write(file, line)
    finally:
        os.close(file)
    _is_torn = written < len(line)
    if _is_torn:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def write_error(error: QuotemillError, source: str | None = None) -> None:
    """Append an error that ended something. For a wrong call or setting no home is made.

    One of no class of its own is a fault of ours, whose traceback is kept; of any other the text says enough.
    """
    if isinstance(error, UsageError | SettingsError) and (_folder is None or not _folder.is_dir()):
        return
    cause = error.__cause__ if type(error) is QuotemillError else None
    write(
        "error" if cause is None else "critical",
        str(error),
        source=source or error.source,
        detail={"kind": type(error).__name__, "exit_code": error.exit_code, "hint": error.hint},
        traceback="".join(format_exception(cause)) if cause else None,
    )


def scrub(text: str) -> str:
    """`text` without passwords and tokens: those of the settings, of URLs, and what is named so."""
    for secret in _secrets:
        text = text.replace(secret, HIDDEN)
    return _NAMED.sub(rf"\1\2{HIDDEN}", _IN_URL.sub(f"://{HIDDEN}@", text))


def secrets_of(settings: BaseModel) -> set[str]:
    """The secrets among settings, the passwords within their URLs too; short ones are words."""
    found: set[str] = set()
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if isinstance(value, BaseModel):
            found |= secrets_of(value)
        if isinstance(value, SecretStr):
            text = value.get_secret_value()
            found.add(text)
            if user := re.search(r"://[^/@\s:]*:([^/@\s]+)@", text):
                password = unquote(user.group(1))
                found |= {user.group(1), password, quote(password, safe="")}
    return {secret for secret in found if len(secret) > 3}


class Handler(logging.Handler):
    """The loaders' own warnings, in the log."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)

    def emit(self, record: logging.LogRecord) -> None:
        if record.name == __name__:  # that nothing can be written here
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
