"""The file of a dump, in pg_dump's custom format."""

import contextlib
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

from loaders.files.process import running
from quotemill.errors import QuotemillError


@dataclass(frozen=True)
class DumpFile:
    """A dump that was read whole. `entries` are lines of pg_restore's table of contents."""

    path: Path
    entries: list[str]

    @property
    def schemas(self) -> list[str]:
        return [name for line in self.entries if (name := schema_entry(line))]

    @property
    def has_hypertables(self) -> bool:
        """Whether it is of a whole database with TimescaleDB."""
        return any(" EXTENSION - timescaledb " in line for line in self.entries)


def schema_entry(line: str) -> str | None:
    """`market` of `5; 2615 16389 SCHEMA - market postgres`."""
    _, mark, rest = line.partition(" SCHEMA - ")
    return rest.rpartition(" ")[0] if mark else None


def read_dump(path: Path, program: Path) -> DumpFile:
    """Open a dump, once every byte of it was read; `program` is pg_restore.

    Raises QuotemillError for a file that is no dump or a damaged one.
    """
    fail = partial(_unreadable, path)
    texts = []
    for argument in ("--file=/dev/null", "--list"):
        with pg_restore(program, path, [argument], fail) as printed:
            texts.append(printed.read().decode())
    entries = [line for line in texts[1].splitlines() if line and not line.startswith(";")]
    if not entries:
        raise QuotemillError(f"{path} is an empty dump")
    return DumpFile(path, entries)


@contextlib.contextmanager
def pg_restore(
    program: Path, path: Path, arguments: Sequence[str], fail: Callable[[str], Exception]
) -> Iterator[IO[bytes]]:
    """What pg_restore prints; `fail`: as of `running`."""
    with running([program, *arguments, path], fail, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        yield process.stdout


def _unreadable(path: Path, reason: str) -> QuotemillError:
    return QuotemillError(
        f"{path} is not a readable dump: {reason}",
        hint="Choose a file from `quotemill warehouse dump` or pg_dump -Fc, and restore a zip with "
        "hypertables with the older version that wrote it.",
    )
