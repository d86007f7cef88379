"""The landing path: how rows reach PostgreSQL. dlt's postgres destination with one changed load job.

A parquet file of a keyed table is landed in ONE transaction:

    temp table  <-  binary COPY, 50,000 rows at a time
    INSERT .. SELECT .. ON CONFLICT (key) DO UPDATE .. WHERE the row differs and is not worse
    one row in ops.landed_files

so landing the same file twice is the same as landing it once. State, schema, load packages and
retries stay dlt's own. Use it by `land`: resources with `write_disposition="append"` and a primary
key that yield Arrow tables (append, because a merge would add dlt's staging schema and MERGE).
"""

import contextlib
import errno
import logging
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

# dlt reads its configuration from the environment, some of it while it is imported
os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
os.environ["RUNTIME__LOG_LEVEL"] = "CRITICAL"
os.environ["NORMALIZE__PARQUET_NORMALIZER__ADD_DLT_LOAD_ID"] = "true"
os.environ["SOURCES__DATA_WRITER__BUFFER_MAX_ITEMS"] = "50000"
os.environ["EXTRACT__NEXT_ITEM_MODE"] = "fifo"
os.environ["LOAD__WORKERS"] = "2"

import dlt
import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
from dlt.common.destination.client import HasFollowupJobs, RunnableLoadJob
from dlt.common.schema.utils import get_columns_names_with_prop
from dlt.common.storages.load_package import ParsedLoadJobFileName
from dlt.destinations.exceptions import DatabaseTerminalException, DatabaseTransientException
from dlt.destinations.impl.postgres.factory import postgres
from dlt.destinations.impl.postgres.postgres import PostgresClient
from dlt.pipeline.exceptions import PipelineStepFailed
from pgpq import ArrowToPostgresBinaryEncoder

from loaders import cursors
from loaders.errors import QuotemillError, UpstreamError
from loaders.warehouse.postgres import Warehouse
from loaders.warehouse.tables import LOAD_ID, LandedTable

log = logging.getLogger(__name__)

COPY_ROWS = 50_000
Batch = tuple[pa.Table | None, pa.Table | None, Mapping[str, date]]
# never a reason to rewrite a row: an overlap that is read again would rewrite all of it
LINEAGE = frozenset({LOAD_ID, "fetched_at", "source_route", "source_ref"})
BAD_DATA = (
    psycopg.DataError,
    psycopg.IntegrityError,
    psycopg.ProgrammingError,
    psycopg.NotSupportedError,
)


@dataclass(frozen=True)
class Landed:
    """Rows of the packages that one call landed: read from files, inserted, really changed."""

    load_ids: tuple[str, ...] = ()
    read: int = 0
    new: int = 0
    changed: int = 0

    @property
    def unchanged(self) -> int:
        return self.read - self.new - self.changed

    def __add__(self, other: "Landed") -> "Landed":
        return Landed(
            self.load_ids + other.load_ids,
            self.read + other.read,
            self.new + other.new,
            self.changed + other.changed,
        )


def open_pipeline(warehouse: Warehouse, folder: Path, source: str) -> tuple[dlt.Pipeline, Landed]:
    """The dlt pipeline of one source, and what an interrupted run had left in `folder` to land.

    The caller holds the source's lock: two processes in one folder break it. Raises UpstreamError
    while the warehouse is away.
    """
    os.environ["DLT_DATA_DIR"] = str(folder)
    with _spool_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        pipeline = _pipeline(warehouse, folder, source)
        landed = Landed()
        while pipeline.has_pending_data:
            landed += _run(pipeline, warehouse, None)
        # The folder moves the cursors at the end of extract, the warehouse with the rows. Only the
        # warehouse never leads them, so every run starts from what it holds.
        shutil.rmtree(pipeline.working_dir)
        pipeline = _pipeline(warehouse, folder, source)
        pipeline.sync_destination()
    return pipeline, landed


def _pipeline(warehouse: Warehouse, folder: Path, source: str) -> dlt.Pipeline:
    return dlt.pipeline(
        source,
        destination=landing(warehouse.dlt_url()),
        dataset_name=f"raw_{source}",
        pipelines_dir=str(folder),
    )


def land(
    pipeline: dlt.Pipeline,
    warehouse: Warehouse,
    source: str,
    table: LandedTable,
    batches: Iterable[Batch],
    rejects: LandedTable | None = None,
) -> Landed:
    """Land batches of one table as one package.

    A batch is rows of `table`, rows for the table of rejected rows, and the cursors that move with
    them; each part may be missing. The batches are drawn while dlt extracts, so memory stays flat.
    """

    refused: list[pa.Table] = []

    def rows() -> Iterator[pa.Table]:
        state = dlt.current.resource_state()
        for accepted, rejected, moves in batches:
            cursors.advance(state, moves)
            if rejected is not None and rejected.num_rows:
                refused.append(rejected)
            if accepted is not None and accepted.num_rows:
                yield accepted

    # dlt draws one resource to its end before the next, so by then `refused` is complete
    resources = [_resource(table, rows)]
    if rejects is not None:
        resources.append(_resource(rejects, lambda: iter(refused)))
    with _spool_errors(Path(pipeline.working_dir)):
        return _run(pipeline, warehouse, dlt.source(lambda: resources, name=source)())


def _resource(table: LandedTable, rows: Callable[[], Iterator[pa.Table]]) -> Any:
    return dlt.resource(
        rows,
        name=table.name,
        primary_key=list(table.key),
        write_disposition="append",
        columns=[{"name": f.name, "nullable": f.nullable} for f in table.schema],
    )


def _run(pipeline: dlt.Pipeline, warehouse: Warehouse, data: Any) -> Landed:
    try:
        info = pipeline.run(data, loader_file_format="parquet")
    except PipelineStepFailed as error:
        causes = list(_causes(error))
        if error.step == "load":
            away = [c for c in causes if isinstance(c, (psycopg.OperationalError, UpstreamError))]
            if away:
                raise UpstreamError(
                    f"the warehouse went away while rows were landed: {_line(away[-1])}",
                    hint="the rows are kept on disk; run again when it is back",
                ) from error
            pipeline.abort_packages()  # rewinds the cursors of rows that did not land
        for cause in causes:
            if isinstance(cause, (QuotemillError, OSError)):
                raise cause from error
        raise
    with warehouse.connect() as conn:
        row = conn.execute(
            "select coalesce(sum(rows_read), 0)::bigint, coalesce(sum(rows_new), 0)::bigint, "
            "coalesce(sum(rows_changed), 0)::bigint from ops.landed_files where load_id = any(%s)",
            (info.loads_ids,),
        ).fetchone()
    assert row is not None
    return Landed(tuple(info.loads_ids), *row)


@contextlib.contextmanager
def _spool_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        raise QuotemillError(
            f"no room left for fetched rows in {folder}",
            hint="free some space or move everything by QUOTEMILL_HOME, then run again: "
            "what has landed is kept",
        ) from error


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def _line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0]


class UpsertCopyJob(RunnableLoadJob, HasFollowupJobs):
    """Land one parquet file in one transaction."""

    def run(self) -> None:
        client: PostgresClient = self._job_client  # type: ignore[assignment]
        url = client.config.credentials.to_native_representation()
        try:
            with psycopg.connect(url, application_name="quotemill landing") as conn:
                self._land(conn, client)
        except BAD_DATA as error:  # the same file fails again: no retry
            raise DatabaseTerminalException(error) from error
        except psycopg.Error as error:
            raise DatabaseTransientException(error) from error

    def _land(self, conn: psycopg.Connection, client: PostgresClient) -> None:
        q = client.sql_client.escape_column_name
        target = client.sql_client.make_qualified_table_name(self.load_table_name)
        load_table: Any = self._load_table
        key = get_columns_names_with_prop(load_table, "primary_key")
        with pq.ParquetFile(self._file_path) as file:
            schema = plain_schema(file.schema_arrow)
            read = copy_to_stage(conn, file, schema, q)
        types: dict[str, str] = dict(
            conn.execute(
                "select attname, format_type(atttypid, atttypmod) from pg_attribute "
                "where attrelid = %s::regclass and attnum > 0 and not attisdropped",
                (target,),
            ).fetchall()
        )
        try:
            # without DISTINCT ON: its sort costs as much as the COPY, and keys rarely repeat
            with conn.transaction():
                counts = conn.execute(upsert_sql(q, target, schema.names, types, key)).fetchone()
        except psycopg.errors.CardinalityViolation:
            statement = upsert_sql(q, target, schema.names, types, key, distinct=True)
            counts = conn.execute(statement).fetchone()
        if not key:
            return
        assert counts is not None
        conn.execute(
            "insert into ops.landed_files (file_id, load_id, schema_name, table_name, rows_read, "
            "rows_new, rows_changed) values (%s, %s, %s, %s, %s, %s, %s) "
            "on conflict (file_id) do nothing",  # landed before: the first counts stand
            (
                f"{self._load_id}/{self.job_id()}",
                self._load_id,
                client.sql_client.dataset_name,
                self.load_table_name,
                read,
                *counts,
            ),
        )


def plain_schema(schema: pa.Schema) -> pa.Schema:
    """dlt writes constant columns dictionary-encoded; the encoder has no such type."""
    return pa.schema(
        [f.with_type(f.type.value_type) if pa.types.is_dictionary(f.type) else f for f in schema]
    )


def copy_to_stage(conn: psycopg.Connection, file: pq.ParquetFile, schema: pa.Schema, q: Any) -> int:
    """COPY a file into the temp table `_land`, whose column types are the encoder's own.

    A file with a type that the binary encoder lacks goes row by row as text, slower; said in the log.
    """
    columns = ", ".join(map(q, schema.names))
    batches = (b if b.schema == schema else b.cast(schema) for b in file.iter_batches(COPY_ROWS))
    read = 0
    try:
        encoder = ArrowToPostgresBinaryEncoder(schema)
    except Exception as error:  # the encoder raises a plain ValueError or its own type
        log.warning("binary COPY cannot take %s: %s; using text", schema, error)
        stage = ", ".join(f"{q(name)} text" for name in schema.names)
        conn.execute(f"create temp table _land ({stage}) on commit drop".encode())
        with conn.cursor().copy(f"copy _land ({columns}) from stdin".encode()) as copy:
            for batch in batches:
                read += batch.num_rows
                for row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                    copy.write_row(row)
        return read
    stage = stage_ddl(q, schema, encoder)
    conn.execute(f"create temp table _land ({stage}) on commit drop".encode())
    with conn.cursor().copy(f"copy _land ({columns}) from stdin (format binary)".encode()) as copy:
        copy.write(encoder.write_header())
        for batch in batches:
            read += batch.num_rows
            copy.write(encoder.write_batch(batch))
        copy.write(encoder.finish())
    return read


def stage_ddl(q: Any, schema: pa.Schema, encoder: ArrowToPostgresBinaryEncoder) -> str:
    """The encoder calls an aware timestamp TIMESTAMP; its bytes are right for timestamptz only."""
    columns = []
    for field, column in zip(schema, encoder.schema().columns, strict=True):
        aware = pa.types.is_timestamp(field.type) and field.type.tz
        columns.append(f"{q(field.name)} {'timestamptz' if aware else column.data_type.ddl()}")
    return ", ".join(columns)


def upsert_sql(
    q: Any,
    target: str,
    columns: Sequence[str],
    types: dict[str, str],
    key: Sequence[str],
    *,
    distinct: bool = False,
) -> bytes:
    """INSERT from `_land`, returning the counts of new and of changed rows.

    A row is rewritten when it differs, and is not worse: a provisional row never replaces a final
    one, nor an older answer a newer one. Of a key that repeats in the file the best row wins.
    """
    names = ", ".join(map(q, columns))
    casts = ", ".join(f"{q(c)}::{types[c]}" for c in columns)
    keys = ", ".join(map(q, key))
    values = [c for c in columns if c not in key]
    seen = [c for c in values if c not in LINEAGE]
    head, tail = "select", ""
    if not key:  # dlt's own state table: every load appends to it
        return (
            f"with landed as (insert into {target} ({names}) {head} {casts} from _land returning 1) "
            "select count(*), 0 from landed"
        ).encode()
    guard = "({}) is distinct from ({})".format(
        *(", ".join(f"{side}.{q(c)}" for c in seen) for side in ("t", "excluded"))
    )
    best = []
    if "is_final" in columns:
        guard += " and (excluded.is_final or not t.is_final)"
        best.append("is_final::boolean desc")
    if "fetched_at" in columns:
        guard += " and (excluded.fetched_at >= t.fetched_at or excluded.is_final > t.is_final)"
        best.append("fetched_at::timestamptz desc")
    update = ", ".join(f"{q(c)} = excluded.{q(c)}" for c in values)
    if distinct:
        head, tail = f"select distinct on ({keys})", f" order by {', '.join([keys, *best])}"
    return (
        f"with landed as (insert into {target} as t ({names}) {head} {casts} from _land{tail} "
        f"on conflict ({keys}) do update set {update} where {guard} "
        # a fresh row has no deleting transaction; a row that was updated carries ours
        "returning (t.xmax = 0) as is_new) "
        "select count(*) filter (where is_new), count(*) filter (where not is_new) from landed"
    ).encode()


class LandingClient(PostgresClient):
    def create_load_job(
        self, table: Any, file_path: str, load_id: str, restore: bool = False
    ) -> Any:
        file_format = ParsedLoadJobFileName.parse(file_path).file_format
        if file_format == "parquet" and table["write_disposition"] == "append":
            return UpsertCopyJob(file_path)
        return super().create_load_job(table, file_path, load_id, restore)


class landing(postgres):  # dlt names a destination after its class
    def _raw_capabilities(self) -> Any:
        caps: Any = super()._raw_capabilities()
        # two files of one table must not wait for each other's keys
        caps.loader_parallelism_strategy = "table-sequential"
        # else parquet is given up without a word where the ADBC driver is absent
        caps.loader_file_format_selector = None
        caps.preferred_loader_file_format = "parquet"
        return caps

    @property
    def client_class(self) -> type[LandingClient]:
        return LandingClient


landing.register()
