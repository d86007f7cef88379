"""Rows to a QuestDB on this machine, by a Parquet file in its import folder."""

import secrets
from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from quotemill.ticks.questdb_http import QuestdbHttp, StoreAway, StoreError


class StageWriter:
    """`send` writes rows as one transaction.

    `folder`: the server's cairo.sql.copy.root. `disk`: a path on the disk of its tables.
    """

    most_rows = None

    def __init__(self, http: QuestdbHttp, folder: Path, disk: Path) -> None:
        self._http = http
        self.folder, self.disk = folder, disk

    def send(self, name: str, parts: Iterable[pa.Table], symbols: Sequence[str]) -> None:
        """Raise StoreAway if they may not have been taken, StoreError if they were not."""
        file = self.folder / f"quotemill-{secrets.token_hex(8)}.parquet"
        try:
            columns = ", ".join(write_stage(parts, file, symbols))
            self._http.rows(
                f"INSERT ATOMIC INTO {name} ({columns}) "
                f"SELECT {columns} FROM read_parquet('{file.name}')"
            )
        except OSError as error:
            raise StoreError(
                f"{error.filename}: {error.strerror}", hint="Check the disk."
            ) from None
        finally:
            file.unlink(missing_ok=True)

    def close(self) -> None:
        """Do nothing: no connection of its own stays open."""


def write_stage(parts: Iterable[pa.Table], file: Path, symbols: Sequence[str]) -> list[str]:
    """Write a Parquet file that is read once: not compressed. Returns its columns."""
    parts = iter(parts)
    first = next(parts)
    with pq.ParquetWriter(
        file,
        first.schema,
        compression="none",
        use_dictionary=list(symbols),
        write_statistics=False,
        store_schema=False,
    ) as writer:
        for rows in chain([first], parts):
            writer.write_table(rows)
    return list(first.column_names)


def find_stage(http: QuestdbHttp) -> StageWriter | None:
    """A stage in the folder from which the server reads Parquet, if writable.

    Proved by a file that it reads back. None for a server that does not read this machine's disk.
    """
    places = http.parameters("cairo.root", "cairo.sql.copy.root")
    folder = Path(places["cairo.sql.copy.root"] or "")
    if not folder.is_absolute() or not _reads_back(http, folder):
        return None
    # a relative root starts where, by default, the stage's folder is too
    root = folder.parent / (places["cairo.root"] or "")
    return StageWriter(http, folder, root if root.is_dir() else folder)


def _reads_back(http: QuestdbHttp, folder: Path) -> bool:
    token = secrets.token_hex(8)
    probe = folder / f"quotemill-{token}.parquet"
    try:
        if not folder.is_dir():
            return False
        pq.write_table(pa.table({"token": [token]}), probe)
        answer = http.rows(f"select token from read_parquet('{probe.name}')")
    except StoreAway:
        raise
    except (OSError, StoreError):
        return False
    finally:
        with suppress(OSError):
            probe.unlink(missing_ok=True)
    return [row["token"] for row in answer] == [token]
