"""The landing path: dlt's postgres destination with a load job of our own.

A parquet file of a keyed table is landed in one transaction (loaders/landing/landed_file.py), so
landing the same file twice is the same as landing it once. State, schema, load packages and retries
stay dlt's own. Use it by `land`: resources with `write_disposition="append"` and a primary key that
yield Arrow tables (append, because a merge would add dlt's staging schema and MERGE).
"""

import shutil
import threading
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import dlt
import psycopg
import psycopg2  # type: ignore[import-untyped]  # what dlt itself speaks
from dlt.common.destination.client import HasFollowupJobs, RunnableLoadJob
from dlt.common.destination.exceptions import DestinationTransientException
from dlt.common.storages.load_package import ParsedLoadJobFileName
from dlt.destinations.exceptions import DatabaseTerminalException, DatabaseTransientException
from dlt.destinations.impl.postgres.factory import postgres
from dlt.pipeline.exceptions import PipelineStepFailed

from loaders.landing import pipeline_state
from loaders.landing.dlt_client import KeptClient, LandingConfiguration
from loaders.landing.dlt_setup import own_context, spool_errors
from loaders.landing.early_copy import EarlyCopy, copying_early
from loaders.landing.landed_file import land_file
from loaders.landing.resources import make_resources, read_target
from loaders.landing.stop_at_once import hung_up_when_stopped, stopped_at_once
from loaders.landing.target import ROW_ERRORS
from loaders.warehouse.content import fetched_folder
from loaders.warehouse.tables import LOAD_ID, ROUTE_NO, SOURCE_ROUTE, Batch, LandedTable
from quotemill.errors import (
    DataQualityError,
    LockHeldError,
    QuotemillError,
    SettingsError,
    sqlstate,
    walk_causes,
)
from quotemill.settings.folders import make_private
from quotemill.warehouse.connections import connect
from quotemill.warehouse.postgres import Warehouse, WarehouseAway
from quotemill.wording import join_hints

# files that land side by side; with dlt's own connection and that of the load, four
AT_ONCE = threading.BoundedSemaphore(2)
ROUNDS = 3  # of dlt's own five tries at a file, each started when the warehouse answers again
BAD_DATA = (
    psycopg.DataError,
    psycopg.IntegrityError,
    psycopg.ProgrammingError,
    psycopg.NotSupportedError,
    # psycopg counts limits among the errors of a server that is away
    psycopg.errors.ProgramLimitExceeded,
    psycopg.errors.StatementTooComplex,
    psycopg.errors.ConfigurationLimitExceeded,
)
# what our job raises; the same file fails again
_OURS = (DataQualityError, LockHeldError, SettingsError)
AWAY = (
    psycopg.OperationalError,
    psycopg2.OperationalError,
    psycopg2.InterfaceError,
    DestinationTransientException,
)


@dataclass(frozen=True)
class Landed:
    """Rows of the packages that one call landed: read from files, inserted, really changed."""

    load_ids: tuple[str, ...] = ()
    read: int = 0
    new: int = 0
    changed: int = 0

    def __add__(self, other: "Landed") -> "Landed":
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return Landed(*(mine + theirs for mine, theirs in pairs))


def open_pipeline(
    warehouse: Warehouse,
    content: str,
    lane: str,
    source: str,
    report: Callable[[str], object] = print,
) -> tuple[dlt.Pipeline, Landed]:
    """The dlt pipeline of one lane of a source, and the rows that an interrupted run had left.

    content: what the warehouse held when the load read its cursors (loaders.warehouse.content)
    report: called before such rows land, which can be many

    The caller holds the lane's lock: two processes in one folder break it. Raises UpstreamError
    while the warehouse is away.
    """
    folder = fetched_folder(warehouse, content)
    with spool_errors(folder):
        make_private(folder)
    with own_context(folder), spool_errors(folder), stopped_at_once():
        pipeline = _pipeline(warehouse, content, lane, source)
        landed = Landed()
        _drop_normalized(Path(pipeline.working_dir))
        if pipeline.has_pending_data:
            report("storing rows that an interrupted run had fetched")
        while pipeline.has_pending_data:
            landed += _run(pipeline, warehouse, None)
        # The folder moves the cursors at the end of extract, the warehouse with the rows. Only the
        # warehouse never leads them, so every run starts from what it holds.
        shutil.rmtree(pipeline.working_dir)
        pipeline = _pipeline(warehouse, content, lane, source)
        try:
            pipeline.sync_destination()
        except PipelineStepFailed as error:
            raise warehouse.away(_away(pipeline, error)) from error
        warehouse.ask(
            lambda conn: pipeline_state.prune(conn, pipeline.dataset_name, pipeline.pipeline_name)
        )
    return pipeline, landed


def _pipeline(warehouse: Warehouse, content: str, lane: str, source: str) -> dlt.Pipeline:
    destination = landing(warehouse.dlt_url(), content=content)
    destination.warehouse = warehouse
    pipeline: Any = dlt.pipeline(
        lane,
        destination=destination,
        dataset_name=f"raw_{source}",
        pipelines_dir=str(fetched_folder(warehouse, content)),
    )
    pipeline._schema_storage = pipeline_state.Schemas(pipeline._schema_storage_config)
    return pipeline


def land(
    pipeline: dlt.Pipeline,
    warehouse: Warehouse,
    source: str,
    table: LandedTable,
    batches: Iterable[Batch],
    rejects: LandedTable | None = None,
    beside: LandedTable | None = None,
    *,
    copies_early: bool = False,
) -> Landed:
    """Land batches of one table as one package; the counts are of the rows of that table.

    The batches are drawn while dlt extracts, so memory stays flat. Their rejected rows land in the
    table `rejects`, what they have beside their rows in `beside`. With `copies_early` the first
    rows of a table land while dlt extracts them, which takes a transaction as long as the batches
    do.
    Raises DataQualityError where a table refuses rows: then their package is dropped.
    """
    destination: Any = pipeline.destination
    with (
        own_context(Path(pipeline.pipelines_dir)),
        spool_errors(Path(pipeline.working_dir)),
        copying_early(destination, table) if copies_early else nullcontext() as early,
        stopped_at_once(),
    ):
        while pipeline.has_pending_data:  # else dlt would land that package and leave out this one
            _run(pipeline, warehouse, None)
        _forget_columns(pipeline, source, [table, *filter(None, (rejects, beside))])
        resources = make_resources(table, batches, rejects=rejects, beside=beside, early=early)
        return _run(pipeline, warehouse, dlt.source(lambda: resources, name=source)(), table.name)


def _forget_columns(pipeline: dlt.Pipeline, source: str, tables: Iterable[LandedTable]) -> None:
    """Forget columns that tables of an earlier version had: dlt would fill them."""
    known: Any = pipeline.schemas[source].tables if source in pipeline.schemas else {}
    for table in tables:
        columns = known.get(table.name, {}).get("columns", {})
        for name in columns.keys() - {*table.schema.names, LOAD_ID}:
            del columns[name]


def _run(
    pipeline: dlt.Pipeline, warehouse: Warehouse, data: Any, table: str | None = None
) -> Landed:
    """Run the pipeline to the end of its packages; a warehouse that restarts costs another round.

    Counts the rows of `table`; of every table where it is None.
    """
    for left in reversed(range(ROUNDS)):
        try:
            info = pipeline.run(data, loader_file_format="parquet")
            break
        except PipelineStepFailed as error:
            away = _away(pipeline, error)
            if error.step == "load":
                data = None  # its package is on disk
            try:
                known = warehouse.away(away)
                if not left or not isinstance(known, WarehouseAway):  # a limit ends it again
                    raise known from error
                warehouse.ask(lambda _: None)
            except WarehouseAway as gone:
                raise WarehouseAway(
                    f"lost the warehouse while storing rows: {warehouse.scrub(_first_line(away))}",
                    hint=join_hints([gone.hint, "Run again: the rows are kept on disk."]),
                ) from error
    if info is None:
        return Landed()
    [counts] = warehouse.ask(
        lambda conn: conn.execute(
            "select coalesce(sum(rows_read), 0)::bigint, coalesce(sum(rows_new), 0)::bigint, "
            "coalesce(sum(rows_changed), 0)::bigint from ops.landed_files "
            "where load_id = any(%s) and table_name = coalesce(%s, table_name)",
            (info.loads_ids, table),
        ).fetchall()
    )
    return Landed(tuple(info.loads_ids), *counts)


def _drop_normalized(folder: Path) -> None:
    """Delete packages that dlt had normalized when it was killed, before it had deleted them.

    Their rows are in the packages to load. Every load would fail on what is left of them.
    """
    for package in (folder / "normalize" / "extracted").glob("*"):
        is_done = (folder / "load" / "normalized" / package.name).exists()
        if is_done or not (package / "schema.json").exists():
            shutil.rmtree(package)


def _away(pipeline: dlt.Pipeline, error: PipelineStepFailed) -> BaseException:
    """The cause, if the warehouse went away. Raises everything else."""
    causes = list(walk_causes(error))
    for cause in causes:
        if isinstance(cause, (QuotemillError, OSError, KeyboardInterrupt)):
            if isinstance(cause, DataQualityError) and error.step == "load":
                pipeline.abort_packages()
            raise cause from error
    if error.step in ("load", "sync"):
        away = [c for c in causes if isinstance(c, AWAY) and not isinstance(c, BAD_DATA)]
        if away:
            return next(filter(sqlstate, away), away[-1])
    if error.step == "load":
        pipeline.abort_packages()  # rewinds the cursors of rows that can never land
        jobs = [getattr(cause, "client_exception", None) for cause in causes]
        refused = [c for job in jobs for c in walk_causes(job) if isinstance(c, _OURS)]
        if refused:
            raise refused[0] from error
    raise error


def _explain_refused(table: str, error: psycopg.Error) -> DataQualityError:
    """The error of rows that pass the declaration of their table, and that the table refuses."""
    known = DataQualityError(
        f"{table} rejects a batch of rows: {error.diag.message_primary or error}",
        hint="Drop the constraint, index or trigger that was added to the table, or restore the "
        "type of its column, then run again. Rows that the source still has are fetched again.",
    )
    known.__cause__ = error
    return known


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[-1 if "Traceback" in str(error) else 0]  # dlt quotes tracebacks of its workers


class UpsertCopyJob(RunnableLoadJob, HasFollowupJobs):
    """Land one parquet file in one transaction."""

    def run_managed(self, job_client: Any, done_event: Any, /) -> None:
        job_client.connects = False  # dlt's would stand idle beside ours
        super().run_managed(job_client, done_event)

    def run(self) -> None:
        client: KeptClient = self._job_client  # type: ignore[assignment]
        url = client.config.credentials.to_native_representation()
        try:
            early = client.early
            path, table = Path(self._file_path), self.load_table_name
            if early is not None and not early.take(path, table, self._load_id):
                early = None
            with (
                AT_ONCE,
                early.lend() if early else client.warehouse.lend(lambda: connect(url)) as conn,
                hung_up_when_stopped(conn),
            ):
                self._land(conn, client, early)
        except (*ROW_ERRORS, psycopg.errors.RaiseException) as error:
            known = _explain_refused(f"{client.sql_client.dataset_name}.{table}", error)
            raise DatabaseTerminalException(known) from known
        except (*BAD_DATA, *_OURS) as error:  # no retry
            raise DatabaseTerminalException(error) from error
        except psycopg.Error as error:
            raise DatabaseTransientException(error) from error

    def _land(
        self, conn: psycopg.Connection, client: KeptClient, early: EarlyCopy | None = None
    ) -> None:
        config: Any = client.config  # ours, see LandingConfiguration
        target = read_target(self._load_table, client.sql_client.dataset_name)
        if target.qualified in client.warehouse.history:
            target = replace(target, keeps_history=True)
        file_id = f"{self._load_id}/{self.job_id()}"
        path, content = Path(self._file_path), config.content
        if early is None or not early.land(conn, target, file_id=file_id):
            land_file(conn, path, target, file_id=file_id, content=content)


class LandingClient(KeptClient):
    def create_load_job(
        self, table: Any, file_path: str, load_id: str, restore: bool = False
    ) -> Any:
        file_format = ParsedLoadJobFileName.parse(file_path).file_format
        if file_format == "parquet" and table["write_disposition"] == "append":
            return UpsertCopyJob(file_path)
        return super().create_load_job(table, file_path, load_id, restore)

    def _build_schema_update_sql(self, *args: Any) -> Any:
        statements, columns = super()._build_schema_update_sql(*args)
        if self.early is not None and self.early.table in columns:
            self.early.close()  # else dlt would wait for our own transaction
        return statements, columns

    def get_storage_tables(self, table_names: Iterable[str]) -> Any:
        for name, columns in super().get_storage_tables(table_names):
            if ROUTE_NO in columns:  # else dlt would add the texts that numbers replace
                texts: Any = {c: {"name": c, "data_type": "text"} for c in (SOURCE_ROUTE, LOAD_ID)}
                columns = texts | columns
            yield name, columns


class landing(postgres):  # dlt names a destination after its class
    spec = LandingConfiguration  # type: ignore[assignment]  # dlt's hint forgets subclasses
    warehouse: Warehouse
    early: EarlyCopy | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._resolved: dict[tuple[bool, bool, str], Any] = {}

    def _raw_capabilities(self) -> Any:
        caps: Any = super()._raw_capabilities()
        # two files of one table must not wait for each other's keys
        caps.loader_parallelism_strategy = "table-sequential"
        caps.max_parallel_load_jobs = 2
        # else dlt silently drops parquet where the ADBC driver is absent
        caps.loader_file_format_selector = None
        caps.preferred_loader_file_format = "parquet"
        return caps

    def configuration(self, initial_config: Any, accept_partial: bool = False) -> Any:
        # ours comes whole from `landing(url)`, and dlt would search all settings for each field of
        # it, sixteen times a package: a tenth of what a small one costs
        values = dict(initial_config or {})
        key = (accept_partial, values.pop("credentials", None) is None, repr(values))
        if key not in self._resolved:
            self._resolved[key] = super().configuration(initial_config, accept_partial)
        return self._resolved[key].copy()

    @property
    def client_class(self) -> type[LandingClient]:
        return LandingClient

    def client(self, schema: Any, initial_config: Any = None) -> Any:
        client: Any = super().client(schema, initial_config)
        client.warehouse, client.early = self.warehouse, self.early
        return client


landing.register()
