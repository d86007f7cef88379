"""ops.archive_files and ops.archive_partitions: what lies where, as written and read back."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime

import psycopg
from psycopg.rows import class_row

from orchestration.archive.content import Content
from orchestration.archive.views import Place


@dataclass(frozen=True)
class File:
    """A file of the archive. `path` is relative to the archive's folder."""

    path: str
    view_name: str
    codec: str
    row_count: int
    content_hash: str
    size_bytes: int
    is_below_target: bool = False


@dataclass(frozen=True)
class New:
    """A file under its unfinished name, read back, and its contents by partition."""

    file: File
    contents: Mapping[Place, Content]


@dataclass(frozen=True)
class Partition:
    """The rows of an underlying on a day, and the file with them."""

    view_name: str
    partition_date: date
    underlying: str
    exchange: str
    path: str
    row_count: int
    content_hash: str
    is_stale: bool
    dropped_at: datetime | None
    restored_at: datetime | None
    codec: str
    size_bytes: int
    is_below_target: bool

    @property
    def place(self) -> Place:
        return self.partition_date, self.underlying, self.exchange

    @property
    def content(self) -> Content:
        return Content.parse(self.row_count, self.content_hash)

    @property
    def month(self) -> str:
        return f"{self.partition_date:%Y-%m}"

    @property
    def is_compacted(self) -> bool:
        return self.codec == "zstd"


def find_partitions(
    conn: psycopg.Connection,
    schema: str,
    view: str | None = None,
    *,
    day: date | None = None,
    symbols: Sequence[str] | None = None,
    paths: Sequence[str] | None = None,
) -> list[Partition]:
    """Partitions in order of view, day, underlying, exchange."""
    return (
        conn.cursor(row_factory=class_row(Partition))
        .execute(
            """
            select
                p.view_name, p.partition_date, p.underlying, p.exchange, p.path, p.row_count,
                p.content_hash, p.is_stale, p.dropped_at, p.restored_at,
                f.codec, f.size_bytes, f.is_below_target
            from ops.archive_partitions as p
            inner join ops.archive_files as f on p.schema_name = f.schema_name and p.path = f.path
            where
                p.schema_name = %(schema)s
                and (%(view)s::text is null or p.view_name = %(view)s)
                and (%(day)s::date is null or p.partition_date = %(day)s)
                and (%(symbols)s::text[] is null or p.underlying = any(%(symbols)s))
                and (%(paths)s::text[] is null or p.path = any(%(paths)s))
            order by 1, 2, 3, 4
            """,
            {
                "schema": schema,
                "view": view,
                "day": day,
                "symbols": None if symbols is None else list(symbols),
                "paths": None if paths is None else list(paths),
            },
        )
        .fetchall()
    )


def group_by_path(partitions: Iterable[Partition]) -> dict[str, list[Partition]]:
    """Partitions by the file they are in, in their order."""
    groups: dict[str, list[Partition]] = {}
    for partition in partitions:
        groups.setdefault(partition.path, []).append(partition)
    return groups


def list_files(conn: psycopg.Connection, schema: str) -> list[File]:
    return (
        conn.cursor(row_factory=class_row(File))
        .execute(
            "select path, view_name, codec, row_count, content_hash, size_bytes, is_below_target "
            "from ops.archive_files where schema_name = %s order by path",
            (schema,),
        )
        .fetchall()
    )


def record(conn: psycopg.Connection, schema: str, new: New) -> None:
    """Record a renamed file and the partitions that are in it from now on."""
    conn.execute(
        """
        insert into ops.archive_files (
            schema_name, path, view_name, codec, row_count, content_hash, size_bytes,
            is_below_target
        )
        values (
            %(schema)s, %(path)s, %(view_name)s, %(codec)s, %(row_count)s, %(content_hash)s,
            %(size_bytes)s, %(is_below_target)s
        )
        on conflict (schema_name, path) do update set
            codec = excluded.codec, row_count = excluded.row_count,
            content_hash = excluded.content_hash, size_bytes = excluded.size_bytes,
            is_below_target = excluded.is_below_target, written_at = excluded.written_at
        """,
        asdict(new.file) | {"schema": schema},
    )
    conn.cursor().executemany(
        """
        insert into ops.archive_partitions as p (
            schema_name, view_name, partition_date, underlying, exchange, path, row_count,
            content_hash
        )
        values (%s, %s, %s, %s, %s, %s, %s, %s)
        on conflict (schema_name, view_name, partition_date, underlying, exchange) do update set
            path = excluded.path, row_count = excluded.row_count,
            content_hash = excluded.content_hash,
            -- a partition that moved to a compacted file was not compared with the warehouse
            archived_at = case
                when p.content_hash = excluded.content_hash then p.archived_at
                else excluded.archived_at
            end,
            is_stale = p.is_stale and p.content_hash = excluded.content_hash,
            dropped_at = case
                when p.content_hash = excluded.content_hash then p.dropped_at
            end
        """,
        [
            (schema, new.file.view_name, *place, new.file.path, content.rows, content.hash)
            for place, content in new.contents.items()
        ],
    )


def delete_files(conn: psycopg.Connection, schema: str, paths: Sequence[str]) -> None:
    """Delete the records of removed files; no partition may be in one."""
    conn.execute(
        "delete from ops.archive_files where schema_name = %s and path = any(%s)",
        (schema, list(paths)),
    )


def mark_stale(
    conn: psycopg.Connection,
    schema: str,
    view: str,
    day: date,
    symbols: Sequence[str],
    *,
    stale: bool,
) -> None:
    """Mark partitions as equal to the warehouse (not stale) or as to be checked."""
    conn.execute(
        "update ops.archive_partitions set is_stale = %s where schema_name = %s and view_name = %s "
        "and partition_date = %s and underlying = any(%s)",
        (stale, schema, view, day, list(symbols)),
    )
