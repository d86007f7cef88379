"""When a file was written: what tells, without reading it, whether it is another one than before."""

import os
from datetime import UTC, datetime
from pathlib import Path

from loaders.engine.outcome import NOT_DUE
from loaders.errors import DataQualityError


def version(path: Path) -> str:
    """The moment at which a file was written, and its size; orders as time does.

    Raises DataQualityError.
    """
    found = _stat(path)
    return f"{_moment(found):%Y-%m-%dT%H:%M:%S.%fZ} {found.st_size:012d}"


def not_due(version: str, stored: str | None) -> str | None:
    """Why a version is not read, where `stored` was the newest read; None if it is."""
    if stored is None or version > stored:
        return None
    if version == stored:
        return NOT_DUE
    return f"the file of {version[:10]} is older than the one of {stored[:10]} that was read before"


def moment(path: Path, now: datetime) -> datetime:
    """When a file was written, never later than `now`. Raises DataQualityError."""
    return min(_moment(_stat(path)), now)


def _moment(found: os.stat_result) -> datetime:
    return datetime.fromtimestamp(found.st_mtime, UTC)


def _stat(path: Path) -> os.stat_result:
    try:
        return path.stat()
    except OSError as error:
        raise DataQualityError(f"{path} cannot be read: {error.strerror}") from error
