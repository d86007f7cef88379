"""Exports that follow corrections: table ops.exports, and how far each one's folder is."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row

from orchestration.exports import inputs
from orchestration.exports.definition import Definition
from orchestration.exports.folder import Folder, State
from orchestration.exports.forms import FORMS
from quotemill.errors import QuotemillError, SettingsError, UsageError
from quotemill.warehouse.postgres import Warehouse

_NAME = re.compile(r"[a-z][a-z0-9_]{0,49}")
_COLUMNS = "name, what, form, codes, since, adjust, folder, is_exact"


@dataclass(frozen=True)
class Followed:
    """An export by its name; `folder` is absolute."""

    name: str
    definition: Definition
    folder: Path

    @property
    def job(self) -> str:
        """The job of the schedule that runs it."""
        return f"export_{self.name}"

    def require_written(self) -> None:
        """Raises SettingsError where its folder holds no export any more."""
        folder = Folder(self.folder)
        if not self.folder.is_dir() or folder.read_state() is None:
            what = self.definition.what
            shown = f'"{what}"' if self.definition.is_query else what
            raise SettingsError(
                f"{self.folder}, of the export {self.name}, holds no export any more",
                hint=f"mount its disk; or `quotemill export {shown} --to {self.definition.form} "
                f"{self.folder} --follow {self.name}`, with its options, writes it again",
            )


def check_name(name: str) -> None:
    """Raises UsageError for what no job of the schedule may be named."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} is no name of an export", hint="lower-case letters, digits and _: bars_qfq"
        )


def list_followed(conn: psycopg.Connection, market: str) -> list[Followed]:
    """The exports of a market schema by name."""
    query = f"select {_COLUMNS} from ops.exports where market_schema = %s order by name"
    rows = conn.cursor(row_factory=dict_row).execute(query.encode(), (market,)).fetchall()
    return [_read(row) for row in rows]


def find_followed(conn: psycopg.Connection, market: str, name: str) -> Followed:
    """An export by its name. Raises UsageError that lists the names."""
    known = {export.name: export for export in list_followed(conn, market)}
    if name not in known:
        raise UsageError(
            f"there is no export {name}",
            hint=f"there are: {', '.join(known)}" if known else "quotemill export --help",
        )
    return known[name]


def check_new(conn: psycopg.Connection, market: str, export: Followed) -> None:
    """Raises UsageError where the name, or the folder, is another export's."""
    check_name(export.name)
    query = f"select {_COLUMNS}, market_schema from ops.exports where name = %s or folder = %s"
    values = (export.name, str(export.folder))
    for row in conn.cursor(row_factory=dict_row).execute(query.encode(), values).fetchall():
        if row.pop("market_schema") != market or _read(row) != export:
            raise UsageError(
                f"the export {row['name']} is of {row['what']} in {row['folder']}",
                hint=f"choose another name and folder, or `quotemill export forget {row['name']}`",
            )


def record(conn: psycopg.Connection, market: str, export: Followed) -> None:
    """Write down an export, and the job of the schedule that keeps it fresh."""
    definition = export.definition
    conn.execute(
        f"insert into ops.exports ({_COLUMNS}, market_schema) "
        "values (%s, %s, %s, %s, %s, %s, %s, %s, %s) on conflict do nothing".encode(),
        (
            export.name,
            definition.what,
            definition.form,
            list(definition.codes),
            definition.since,
            definition.adjust,
            str(export.folder),
            definition.is_exact,
            market,
        ),
    )
    conn.execute(
        "insert into ops.schedules (name, kind) values (%s, 'export') on conflict do nothing",
        (export.job,),
    )


def forget(warehouse: Warehouse, name: str) -> Followed:
    """Follow an export no more: its files stay. Raises UsageError for an unknown name."""
    with warehouse.connect() as conn:
        export = find_followed(conn, warehouse.market_schema, name)
        conn.execute("delete from ops.exports where name = %s", (name,))
        conn.execute("delete from ops.schedules where name = %s", (export.job,))
        try:
            state = Folder(export.folder).read_state()
        except QuotemillError:
            state = None
        if state is not None:
            inputs.forget_position(conn, inputs.name_reader(warehouse, state.folder_id))
    return export


def describe_all(warehouse: Warehouse) -> list[dict[str, Any]]:
    """A document for each export: what it is, and the state of its folder."""
    with warehouse.connect() as conn:
        known = list_followed(conn, warehouse.market_schema)
    return [_describe(warehouse, export) for export in known]


def _describe(warehouse: Warehouse, export: Followed) -> dict[str, Any]:
    """state: current, behind, unfinished, missing, or damaged and wrong with their `error`."""
    document: dict[str, Any] = {
        "name": export.name,
        **export.definition.as_json(),
        "folder": str(export.folder),
        "job": export.job,
        "state": "missing",
        "is_behind": True,
        **dict.fromkeys(("change_no", "rows", "files", "written_at", "error")),
    }
    try:
        folder = Folder(export.folder)
        state = folder.read_state() if export.folder.is_dir() else None
        if state is None:
            return document
        document |= {"change_no": state.change_no, "rows": state.rows, "files": len(state.names)}
        document |= {"written_at": state.written_at}
        if state.definition != export.definition:
            raise UsageError(f"{export.folder} is an export of {state.definition.what}")
        is_behind = _is_behind(warehouse, export, state)
        word = "behind" if is_behind else "current"
        document |= {"state": word if state.is_whole else "unfinished"}
        damaged = folder.list_damaged(state)
        if damaged and state.is_whole:
            more = f" and {len(damaged) - 1:,} more" if damaged[1:] else ""
            error = f"{damaged[0]}{more}: missing or of another size"
            fix = f"quotemill export --follow {export.name}"
            document |= {"state": "damaged", "error": f"{error}; fix: {fix}"}
        document |= {"is_behind": is_behind or bool(damaged) or not state.is_whole}
    except QuotemillError as error:
        document |= {"state": "wrong", "error": str(error)}
    return document


def _is_behind(warehouse: Warehouse, export: Followed, state: State) -> bool:
    with warehouse.connect() as conn:
        source = FORMS[export.definition.form].find_source(conn, warehouse, export.definition)
        read = inputs.read_inputs(conn, source)
        reader = inputs.name_reader(warehouse, state.folder_id)
        changes = inputs.find_changes(conn, read, reader, state.change_no, state.fingerprint)
        conn.rollback()
    if changes.is_everything:
        return True
    codes = {"", *source.codes}
    return any(not source.codes or code in codes for code, _, _ in changes.spans)


def _read(row: dict[str, Any]) -> Followed:
    definition = row | {"codes": tuple(row["codes"])}
    name, folder = definition.pop("name"), definition.pop("folder")
    return Followed(name, Definition(**definition), Path(folder))
