"""The file of a dump: in pg_dump's custom format, or a zip of such a part and of rows beside it.

The zip is for TimescaleDB, whose rows no dump by schema holds: `pg_dump` (everything else),
`hypertables.json` (what they are) and for each of them `rows/SCHEMA.NAME`, as COPY writes text.
"""

import contextlib
import json
import shutil
import subprocess
import threading
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import IO

from loaders.files.process import running
from loaders.warehouse.hypertables import Hypertable
from quotemill.errors import QuotemillError

PG_DUMP = "pg_dump"
HYPERTABLES = "hypertables.json"
BLOCK = 1 << 20


@dataclass(frozen=True)
class DumpFile:
    """A dump that was read whole. `entries` are lines of pg_restore's table of contents."""

    path: Path
    entries: list[str]
    hypertables: list[Hypertable]

    @property
    def schemas(self) -> list[str]:
        return [name for line in self.entries if (name := schema_entry(line))]

    @contextlib.contextmanager
    def rows(self, table: Hypertable) -> Iterator[IO[bytes]]:
        with zipfile.ZipFile(self.path) as file, file.open(member(table)) as rows:
            yield rows


def member(table: Hypertable) -> str:
    return f"rows/{table.qualified}"


def hypertables_text(tables: Sequence[Hypertable]) -> str:
    """The text of hypertables.json."""
    return json.dumps({"format": 1, "hypertables": [asdict(table) for table in tables]}, indent=1)


def schema_entry(line: str) -> str | None:
    """`market` of `5; 2615 16389 SCHEMA - market postgres`."""
    _, mark, rest = line.partition(" SCHEMA - ")
    return rest.rpartition(" ")[0] if mark else None


def read_dump(path: Path, program: Path) -> DumpFile:
    """Open a dump, once every byte of it was read; `program` is pg_restore.

    Raises QuotemillError for a file that is no dump or a damaged one.
    """
    try:
        tables = [] if _is_plain(path) else _hypertables(path)
        texts = [_output(program, path, [argument]) for argument in ("--file=/dev/null", "--list")]
    except (zipfile.BadZipFile, zlib.error, EOFError, KeyError, ValueError) as error:
        raise _unreadable(path, str(error)) from None
    entries = [line for line in texts[1].splitlines() if line and not line.startswith(";")]
    if not entries:
        raise QuotemillError(f"{path} is a dump of nothing")
    return DumpFile(path, entries, tables)


@contextlib.contextmanager
def pg_restore(
    program: Path, path: Path, arguments: Sequence[str], fail: Callable[[str], Exception]
) -> Iterator[IO[bytes]]:
    """What pg_restore prints of what pg_dump wrote, wherever that is; `fail`: as of `running`."""
    command: list[str | Path] = [program, *arguments]
    pipe = subprocess.PIPE
    if _is_plain(path):
        with running([*command, path], fail, stdout=pipe) as process:
            assert process.stdout is not None
            yield process.stdout
        return
    with (
        zipfile.ZipFile(path) as file,
        file.open(PG_DUMP) as part,
        running(command, fail, stdin=pipe, stdout=pipe) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        feeder = threading.Thread(target=_feed, args=(part, process.stdin))
        feeder.start()
        try:
            yield process.stdout
        except BaseException:
            process.kill()  # what it has not read holds up the feeder
            raise
        finally:
            feeder.join()


def _feed(part: IO[bytes], pipe: IO[bytes]) -> None:
    with contextlib.suppress(BrokenPipeError), pipe:  # it may end before it has read all
        shutil.copyfileobj(part, pipe, BLOCK)


def _is_plain(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(5) == b"PGDMP"


def _hypertables(path: Path) -> list[Hypertable]:
    with zipfile.ZipFile(path) as file:
        damaged = file.testzip()
        if damaged:
            raise zipfile.BadZipFile(f"{damaged} is damaged")
        document = json.loads(file.read(HYPERTABLES))
        if document["format"] != 1:
            raise ValueError(f"format {document['format']} is of a later version")
        return [
            Hypertable(**table | {"columns": [(name, kind) for name, kind in table["columns"]]})
            for table in document["hypertables"]
        ]


def _output(program: Path, path: Path, arguments: Sequence[str]) -> str:
    with pg_restore(program, path, arguments, partial(_unreadable, path)) as printed:
        return printed.read().decode()


def _unreadable(path: Path, reason: str) -> QuotemillError:
    return QuotemillError(
        f"{path} is not a readable dump: {reason}",
        hint="a dump is a file that quotemill warehouse dump (or pg_dump -Fc) has written",
    )
