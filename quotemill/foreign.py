"""Bytes of others: the most of each kind that are read, and one kind of error for all of them.

A service, a gateway, a disk or a user may hand over anything: 4 MB of gzip that unpack to 4 GB, a
sparse file of 300 GB, a header beyond every date. Bytes are counted unpacked, while they come, and
more than the limit are never held. What a parser cannot read is an error of ours, whatever it
raised. So one bad thing costs its key alone.
"""

import csv
import io
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from quotemill.errors import DataQualityError, QuotemillError, SettingsError, innermost

P = ParamSpec("P")
T = TypeVar("T")
_MB = 2**20
_SHOWN = 300  # characters of a parser's words, which may quote all that it was given


@dataclass(frozen=True)
class Limit:
    """The most unpacked bytes of a kind of file or answer: several times the largest real one."""

    kind: str
    most: int


DAY_BARS = Limit("a day bar file", 4 * _MB)  # 131,072 days
MINUTE_BARS = Limit("a minute bar file", 64 * _MB)  # two million: 35 years of minutes
CLIENT_FILE = Limit("another TDX client file", 32 * _MB)  # gbbq, lists, sectors
CSV_FILE = Limit("a CSV file", 32 * _MB)
CODES_FILE = Limit("a code file", 4 * _MB)
SETTINGS_FILE = Limit("a settings file", _MB)
HTTP_ANSWER = Limit("a TDX service response", 32 * _MB)  # some 200,000 bars
IB_MESSAGE = Limit("an IB gateway message", 16 * _MB)
TQ_MESSAGE = Limit("a futures server message", 256 * _MB)
TQ_MEMORY = Limit("the futures client's memory", 16 * 1024 * _MB)  # 3 kB for each tick
TQ_ANSWER = Limit("a futures client response", 64 * _MB)
QUESTDB_ANSWER = Limit("a QuestDB response", 2048 * _MB)  # a query of a user: 10 million ticks
QUESTDB_JAR = Limit("QuestDB's jar", 256 * _MB)
PACKINGS = ("", "identity", "gzip", "deflate")  # of answers; two of them at once unpack unbounded


def check_size(
    place: object, size: int, limit: Limit, error: type[QuotemillError] = DataQualityError
) -> None:
    """Raise `error`, which names file or route, for more bytes than the limit."""
    if size > limit.most:
        raise error(
            f"{place} is too large: {size:,} bytes or more, and {limit.kind} has at most"
            f" {limit.most:,}"
        )


def check_packing(
    place: object, headers: Mapping[str, str], error: type[QuotemillError] = DataQualityError
) -> None:
    """Raise `error` for an answer packed in a way that can hide any size in a few bytes."""
    packing = headers.get("Content-Encoding", "")
    if packing.strip().lower() not in PACKINGS:
        raise error(f"{place} is packed as {packing[:40]!r}, which was not requested")


def collect(
    parts: Iterable[bytes], place: object, limit: Limit, error: type[QuotemillError]
) -> bytes:
    """The parts of an answer together. Raises `error` as soon as they are too large."""
    content = bytearray()
    for part in parts:
        content += part
        check_size(place, len(content), limit, error)
    return bytes(content)


def read_file(
    path: Path,
    limit: Limit,
    error: type[QuotemillError] = DataQualityError,
    start: int = 0,
    size: int = -1,
) -> bytes:
    """The bytes of a file from `start` on, at most `size`. Raises `error`."""
    with reading(path, error), path.open("rb") as opened:
        check_size(path, os.fstat(opened.fileno()).st_size, limit, error)
        if start:
            opened.seek(start)
        # a pipe or a device has no size
        content = opened.read(size if size >= 0 else limit.most + 1)
        check_size(path, len(content), limit, error)
        return content


def read_text(path: Path, limit: Limit, error: type[QuotemillError]) -> str:
    """The text of a file in UTF-8. Raises `error`."""
    content = read_file(path, limit, error)
    with reading(path, error, fault="is not UTF-8 text"):
        return content.decode().replace("\r\n", "\n")


def read_records(path: Path, needed: Iterable[str]) -> list[tuple[str, dict[str, str]]]:
    """The rows of a CSV file with a header, each with its place. Raises SettingsError.

    Other bytes than UTF-8 become U+FFFD, so that they cost their line alone.
    """
    text = read_file(path, CSV_FILE, SettingsError).decode("utf-8-sig", "replace")
    with reading(path, SettingsError):
        rows = csv.DictReader(io.StringIO(text, newline=""))
        if missing := [name for name in needed if name not in (rows.fieldnames or ())]:
            raise SettingsError(f"{path} has no column {', '.join(missing)}")
        return [(f"{path}, line {rows.line_num}", row) for row in rows]


@contextmanager
def reading(
    place: object,
    error: type[QuotemillError] = DataQualityError,
    but: tuple[type[Exception], ...] = (),
    fault: str = "cannot be read",
    hint: str = "",
) -> Iterator[None]:
    """Let a block that reads or parses what others wrote raise `error` alone.

    Other errors of ours, and those named in `but`, pass.
    """
    passing: tuple[type[Exception], ...] = (QuotemillError, *but)
    try:
        yield
    except passing:
        raise
    except Exception as cause:
        why = isinstance(cause, OSError) and cause.strerror
        said = (why or innermost(cause))[:_SHOWN]
        raise error(f"{place} {fault}: {said}", hint=hint) from cause


def reads_file(parse: Callable[Concatenate[Path, P], T]) -> Callable[Concatenate[Path, P], T]:
    """Let a parser of a file, which is its first argument, raise DataQualityError alone."""

    @wraps(parse)
    def guarded(path: Path, /, *args: P.args, **options: P.kwargs) -> T:
        with reading(path):
            return parse(path, *args, **options)

    return guarded
