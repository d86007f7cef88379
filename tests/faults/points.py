"""Kill points of commands: at which call of which function each of them is.

A group is a set of points that one command reaches; tests ask for a point by its name.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FETCHING = "fetching"
SPOOLED = "spooled"
LANDING = "inside the transaction"
UNMARKED = "committed but not marked"
CURSORS = "saving cursors"
FOLDER = "renewing the folder"
STAGES = (FETCHING, SPOOLED, LANDING, UNMARKED, CURSORS, FOLDER)

DELETED = "old ticks deleted, new ones not inserted"
STRAIGHT = "copied straight into the table, not committed"
NO_KEY = "the key of the empty table dropped, no row copied"
KEY = "copied without the key, which is not yet built"
EARLY = (
    "no row is copied early",
    "some rows are copied early, their file is not whole",
    "a file takes over its early rows",
    "early rows have their key, which is not committed",
)
BY_CODE = ("kline_daily", "minute_1m", "tick_trade")
STATE_TABLE = "_dlt_pipeline_state"


@dataclass(frozen=True)
class Point:
    """Before or after calls of functions, each named as `package.module:attribute.attribute`.

    `applies`: whether a call with these arguments counts.
    `prepare`: called with the arguments right before the kill.
    `nth`: the call at which the tests kill, where it is not drawn.
    """

    functions: tuple[str, ...]
    is_after: bool = False
    stage: str = ""
    nth: int = 1
    applies: Callable[..., bool] = lambda *_: True
    prepare: Callable[..., object] = lambda *_: None


def before(*functions: str, stage: str = "", **options: Any) -> Point:
    return Point(functions, stage=stage, **options)


def after(*functions: str, stage: str = "", **options: Any) -> Point:
    return Point(functions, is_after=True, stage=stage, **options)


def _is_by_code(_: Any, dataset: str, *__: Any) -> bool:
    return dataset in BY_CODE


def _has_rows(job: Any, *_: Any) -> bool:
    return bool(job.load_table_name != STATE_TABLE)


def _has_state(job: Any, *_: Any) -> bool:
    return not _has_rows(job)


def _remove_half(path: Path, *_: Any, **__: Any) -> None:
    files = sorted(file for file in Path(path).rglob("*") if file.is_file())
    for file in files[: len(files) // 2 + 1]:
        file.unlink()


JOB = "loaders.landing.load_job:UpsertCopyJob"
DLT_LOAD = "dlt.load.load:Load"
PIPELINE = "dlt.pipeline.pipeline:Pipeline"
PACKAGES = "dlt.common.storages.load_package:PackageStorage"
STORAGE = "dlt.common.storages.load_storage:LoadStorage"
CLIENT = "dlt.destinations.job_client_impl:SqlJobClientBase"
TASK = "loaders.engine.tasks:RunningTask"

TDX = {
    "request about to be sent": before("loaders.tdx.client.connection:send", stage=FETCHING),
    "answer received": after("loaders.tdx.client.connection:send", stage=FETCHING),
    "between two codes": after(
        "loaders.cli.progress:Lines.advance", stage=FETCHING, applies=_is_by_code
    ),
    "a batch handed to dlt": after(f"{TASK}.batch", stage=FETCHING),
    "extracted, not normalized": before(f"{PIPELINE}.normalize", stage=SPOOLED),
    "normalized, not loading": before(f"{PIPELINE}.load", stage=SPOOLED),
    "load begun, no file started": before(f"{DLT_LOAD}.start_new_jobs", stage=SPOOLED),
    "after COPY, before the upsert": after(
        "loaders.landing.landed_file:copy_to_stage", stage=LANDING
    ),
    STRAIGHT: before("loaders.landing.first_copy:Changes.report", stage=LANDING),
    NO_KEY: after("loaders.landing.first_rows:clear", stage=LANDING),
    KEY: before("loaders.landing.first_rows:build", stage=LANDING),
    EARLY[0]: before("loaders.landing.early_copy:require_content", stage=FETCHING),
    EARLY[1]: after("loaders.landing.early_copy:copy_binary", stage=FETCHING),
    EARLY[2]: before("loaders.landing.early_copy:land_copied", stage=LANDING),
    EARLY[3]: after("loaders.landing.early_copy:land_copied", stage=LANDING),
    DELETED: after("loaders.landing.landed_file:replace_units", stage=LANDING),
    "after the upsert, before the commit": after(f"{JOB}._land", stage=LANDING, applies=_has_rows),
    "after the commit, dlt not informed": after(f"{JOB}.run", stage=UNMARKED, applies=_has_rows),
    "dlt informed, file not moved": before(f"{PACKAGES}.complete_job", stage=UNMARKED),
    "all files moved, no load row": before(f"{CLIENT}.complete_load", stage=UNMARKED),
    "load row written, package not filed": before(
        f"{STORAGE}.complete_load_package", stage=UNMARKED
    ),
    "state about to be packed": before(
        f"{PIPELINE}._bump_version_and_extract_state", stage=CURSORS
    ),
    "state packed, package not committed": after(
        f"{PIPELINE}._bump_version_and_extract_state", stage=CURSORS
    ),
    "state row copied, not committed": after(f"{JOB}._land", stage=CURSORS, applies=_has_state),
    "state row committed, not marked": after(f"{JOB}.run", stage=CURSORS, applies=_has_state),
    "before ingestion_state": before("loaders.landing.cursors:publish", stage=CURSORS),
    "ingestion_state written, not committed": after(
        "loaders.landing.cursors:publish", stage=CURSORS
    ),
    "folder half removed": before(
        "loaders.landing.load_job:shutil.rmtree", stage=FOLDER, prepare=_remove_half
    ),
}

BUILD = {
    "the build is on record": after("orchestration.run.build_record:BuildRecord.begin"),
    "a command of dbt is about to begin": before("orchestration.run.build:invoke"),
    "dbt is done, the build not recorded": after("orchestration.run.build:invoke"),
    "a statement is about to be sent": before(
        "dbt.adapters.sql.connections:SQLConnectionManager.add_query"
    ),
}

AROUND_PACKAGE = ("before the package", "before its rows", "after its rows", "after the package")


def package_points(table: str) -> dict[str, Point]:
    """Around the package of a table, and with it on disk around its rows."""
    land, run = ("loaders.landing.load_job:land",), (f"{JOB}.run",)

    def is_package(*args: Any) -> bool:
        return bool(args[3].name == table)

    def has_rows(job: Any, *_: Any) -> bool:
        return f"/{table}." in job._file_path

    points = (
        Point(land, applies=is_package),
        Point(run, applies=has_rows),
        Point(run, applies=has_rows, is_after=True),
        Point(land, applies=is_package, is_after=True),
    )
    return {f"{table}, {where}": p for where, p in zip(AROUND_PACKAGE, points, strict=True)}


IB_TABLES = {
    "discover": ("session", "underlying", "contract", "session_contract"),
    "snapshot": ("session", "chain_snapshot", "gateway_event"),
    "close": ("session", "chain_close", "gateway_event"),
    "enrich": ("open_interest",),
}
IB: dict[str, Point] = {}
for _table in {table for tables in IB_TABLES.values() for table in tables}:

    def _answers(run: Any, *_: Any, dataset: str = _table) -> bool:
        return bool(run.task.dataset == dataset)

    IB[f"{_table}, answered"] = after(f"{TASK}._count", applies=_answers)
    IB |= package_points(_table)
QUESTDB_STORE = "loaders.ticks.questdb.store:QuestdbStore"

# for each day of a load of ticks; what else is written, and reads of the store, do not count
TQ_DAY = {
    "answered": before("loaders.tq.datasets.ticks:check_day"),
    "written": after(f"{QUESTDB_STORE}.write_days"),
    "indexed": after(f"{QUESTDB_STORE}.put_index"),
}
TQ_SERVER = {"sent, not applied": after("loaders.ticks.questdb.staging:StageWriter.send")}
TQ_MAPPING = {
    "main contracts asked for": before("loaders.tq.datasets.main_events:_load_events"),
    "main contracts answered": after("loaders.tq.datasets.main_events:_load_events"),
}
TQ_RECORDER = {"recorded": before("loaders.tq.live.recorder:Recorder._report_silence")}
TQ = (
    TQ_RECORDER
    | TQ_DAY
    | TQ_SERVER
    | TQ_MAPPING
    | package_points("symbol_day")
    | package_points("main_event")
)

# `stage` is the command, here and below
ARCHIVE_MODULES = "orchestration.archive"
WRITE, CLOSE = (f"{ARCHIVE_MODULES}.folder:FileWriter.{name}" for name in ("write", "close"))
RENAME_ALL = f"{ARCHIVE_MODULES}.folder:Folder.finish"
RENAME, REMOVE, SYNC = (
    f"loaders.files.whole_file:{name}" for name in ("rename", "remove", "sync_all")
)
RECORD, MARK, DELETE_FILES = (
    f"{ARCHIVE_MODULES}.ledger:{name}" for name in ("record", "mark_stale", "delete_files")
)
SWAP = f"{ARCHIVE_MODULES}.swap:_carry_out"
DELETE, INSERT = (f"{ARCHIVE_MODULES}.landed:{name}" for name in ("delete", "insert"))
ARCHIVE = {
    "a file is begun": before(WRITE, stage="archive"),
    "a file is written": after(CLOSE, stage="archive", nth=2),
    "files are read back": before(RENAME_ALL, stage="archive"),
    "some have their names": after(RENAME, stage="archive", nth=2),
    "all have their names": after(RENAME_ALL, stage="archive"),
    "some are recorded": after(RECORD, stage="archive", nth=2),
    "a view is through": after(MARK, stage="archive", nth=2),
    "a large file is begun": before(WRITE, stage="compact"),
    "a large file is written": after(CLOSE, stage="compact"),
    "the swap is planned": before(SWAP, stage="compact"),
    "some small files are gone": after(REMOVE, stage="compact", nth=2),
    "all small files are gone": before(RENAME_ALL, stage="compact"),
    "the large file has its name": after(RENAME, stage="compact"),
    "the large file is recorded": after(RECORD, stage="compact"),
    "the small files are forgotten": after(DELETE_FILES, stage="compact"),
    "the second swap is planned": before(SWAP, stage="compact", nth=2),
    "files are read again": before(DELETE, stage="retention"),
    "rows are deleted": after(DELETE, stage="retention"),
    "rows wait to be inserted": before(INSERT, stage="restore"),
    "rows are inserted": after(INSERT, stage="restore"),
}

BACKUP = {
    "dumped, not read back": before("orchestration.backup.dump_file:read_dump"),
    "dumped, not described": before("orchestration.backup.folder:describe"),
    "whole, without its name": before("orchestration.backup.folder:publish"),
    "the oldest half removed": before("shutil:rmtree"),
}

EXPORT_FOLDER = "orchestration.exports.folder"
BEGIN, MEASURE, PUBLISH, REMOVE_OLD = (
    f"{EXPORT_FOLDER}:Folder.{name}" for name in ("begin", "measure", "publish", "remove")
)
ASK = [f"orchestration.exports.forms.{form}:stream_part" for form in ("parquet", "qlib")]
EXPORT = {
    "rows are asked for": before(*ASK, nth=2),
    "a file is written": before(MEASURE, nth=3),
    "files are whole": before(PUBLISH),
    "files are on disk": after(SYNC),
    "the next manifest is written": after(BEGIN),
    "the manifest is away": after(f"{EXPORT_FOLDER}:whole_file.sync"),
    "some have their names": after(f"{EXPORT_FOLDER}:whole_file.rename", nth=3),
    "all have their names": before(REMOVE_OLD),
    "old files are gone": after(REMOVE_OLD),
    "the manifest is back": after(PUBLISH),
    "the cursor is not committed": after("orchestration.exports.write:move_cursor"),
}

GROUPS = {
    "tdx": TDX,
    "build": BUILD,
    "ib": IB,
    "tq": TQ,
    "archive": ARCHIVE,
    "backup": BACKUP,
    "export": EXPORT,
}
# what a kill at a point of a group ends, and of which source
WHOSE = {
    "tdx": ("load", "tdx"),
    "build": ("build", "tdx"),
    "ib": ("load", "ib"),
    "tq": ("load", "tq"),
    "backup": ("backup", "every source"),
    "export": ("export", "tdx"),
}
