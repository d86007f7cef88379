"""COPY of a file of rows into the temp table `_land`, or straight into its table."""

from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pgpq import ArrowToPostgresBinaryEncoder

from loaders.landing.ahead import draw_ahead
from loaders.landing.lineage import Numbers
from loaders.landing.target import names, quote

COPY_ROWS = 50_000


class FileRows:
    """The rows of a file as its table takes them: with `numbers` for texts, where it has those."""

    def __init__(self, file: pq.ParquetFile, numbers: Numbers | None) -> None:
        self.file, self._numbers = file, numbers
        self._plain = plain_schema(file.schema_arrow)
        self.schema = numbers.schema(self._plain) if numbers else self._plain

    def batches(self) -> Iterator[pa.RecordBatch]:
        for group in range(self.file.num_row_groups):  # else memory grows with the file
            for batch in self.file.iter_batches(COPY_ROWS, row_groups=[group]):
                rows = batch if batch.schema == self._plain else batch.cast(self._plain)
                yield self._numbers.replace_texts(rows) if self._numbers else rows


def copy_to_stage(conn: psycopg.Connection, rows: FileRows) -> int:
    """COPY a file into the temp table `_land` of the encoder's column types; the number of rows."""
    encoder = ArrowToPostgresBinaryEncoder(rows.schema)
    columns = stage_ddl(rows.schema, encoder)
    conn.execute(f"create temp table _land ({columns}) on commit drop".encode())
    return copy_binary(conn, rows.batches(), "_land", encoder)


def copy_binary(
    conn: psycopg.Connection,
    batches: Iterable[pa.RecordBatch],
    target: str,
    encoder: ArrowToPostgresBinaryEncoder,
) -> int:
    """COPY batches into a table of the encoder's own column types; the number of rows read."""
    read = 0
    columns = names(column.name for column in encoder.schema().columns)
    with (
        conn.cursor().copy(
            f"copy {target} ({columns}) from stdin (format binary)".encode()
        ) as copy,
        # the server need not wait while the next batch is encoded
        closing(draw_ahead(_encode(batches, encoder))) as blocks,
    ):
        for count, block in blocks:
            read += count
            copy.write(block)
    return read


def _encode(
    batches: Iterable[pa.RecordBatch], encoder: ArrowToPostgresBinaryEncoder
) -> Generator[tuple[int, bytes], None, None]:
    """Batches in the format of binary COPY: numbers of rows and their bytes."""
    yield 0, encoder.write_header()
    for batch in batches:
        yield batch.num_rows, encoder.write_batch(batch)
    yield 0, encoder.finish()


def list_keys(file: pq.ParquetFile, column: str) -> list[Any]:
    """The different values of a column."""
    batches = read_batches(file, [column])
    return list(dict.fromkeys(key for rows in batches for key in pc.unique(rows[0]).to_pylist()))


def read_batches(file: pq.ParquetFile, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Some columns of a file. Not read whole: millions of texts take much memory."""
    for group in range(file.num_row_groups):
        for rows in file.iter_batches(COPY_ROWS, row_groups=[group], columns=list(columns)):
            yield rows.cast(plain_schema(rows.schema))


def plain_schema(schema: pa.Schema) -> pa.Schema:
    """dlt writes constant columns dictionary-encoded; the encoder has no such type."""
    return pa.schema(
        [f.with_type(f.type.value_type) if pa.types.is_dictionary(f.type) else f for f in schema]
    )


def stage_types(schema: pa.Schema, encoder: ArrowToPostgresBinaryEncoder) -> list[str]:
    """The types of the encoder's columns in SQL.

    It calls an aware timestamp TIMESTAMP; its bytes are right for timestamptz only.
    """
    return [
        "timestamptz" if pa.types.is_timestamp(own.type) and own.type.tz else column.data_type.ddl()
        for own, column in zip(schema, encoder.schema().columns, strict=True)
    ]


def stage_ddl(schema: pa.Schema, encoder: ArrowToPostgresBinaryEncoder) -> str:
    """The columns of a temp table for the encoder's rows."""
    types = stage_types(schema, encoder)
    return ", ".join(
        f"{quote(name)} {kind}" for name, kind in zip(schema.names, types, strict=True)
    )
