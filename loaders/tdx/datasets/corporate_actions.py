"""Dataset `corporate_actions`: what the configured source says now, and what it withdrew."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal

import psycopg
from psycopg.rows import dict_row

from loaders.engine.outcome import Outcome, records
from loaders.engine.rejects import Rejected
from loaders.errors import DataQualityError, UpstreamError
from loaders.tdx.context import Context, Dataset
from loaders.tdx.files.actions_csv import ActionSet, read_actions
from loaders.tdx.schemas import CORPORATE_ACTION
from loaders.warehouse.tables import STANDARD_FIELDS

NO_SOURCE = (
    "no source of corporate actions is configured, so adjusted prices equal raw ones: "
    "set QUOTEMILL_TDX__CORPORATE_ACTIONS to a CSV file, a folder of them, or xdxr"
)
_OWN = [
    name for name in CORPORATE_ACTION.schema.names if name not in {f.name for f in STANDARD_FIELDS}
]


def fetch(run: Context, codes: Sequence[str]) -> Iterator[Outcome]:
    """Outcomes in the order of `codes`: the source is read once for all of them.

    Raises SettingsError for an unusable source.
    """
    source = run.settings.corporate_actions
    if source is None:
        for code in codes:
            yield Outcome(code, skipped=NO_SOURCE)
        return
    name = "xdxr" if source == "xdxr" else "csv"
    is_first = run.actions is None
    try:
        found = read_actions(source, codes) if name == "xdxr" else _file(run, source)
    except (UpstreamError, DataQualityError) as error:
        for code in codes:
            yield Outcome(code, failure=str(error))
        return
    covered = replace(found, covers=found.covers & set(codes))
    gone = run.ask(lambda conn: withdrawn(conn, covered, name, codes))
    mended = run.ask(lambda conn: no_longer_refused(conn, found, codes, name)) if is_first else []
    rows: dict[str, list[dict[str, Any]]] = {}
    lineage = {"source_route": str(source), "fetched_at": run.clock(), "is_final": True}
    for row in [*(asdict(row) | {"is_withdrawn": False} for row in found.rows), *gone]:
        rows.setdefault(row["code"], []).append(row | lineage)
    refused = [replace(row, source_route=str(source)) for row in [*found.rejected, *mended]]
    for code in codes:
        yield Outcome(
            code,
            rows.get(code),
            refused,
            run.today,
            failure=found.failed.get(code),
            cursor_key=name,
        )
        refused = []


def _file(run: Context, source: Path | Literal["xdxr"]) -> ActionSet:
    """The files, read once a load."""
    if run.actions is None:
        run.actions = read_actions(
            source, sorted({*run.securities, *(run.load.request.keys or ())})
        )
        for row in run.actions.rejected:
            run.load.warn(f"{row.row_key}: {row.field}: {row.rule} (found {row.value!r})")
        for column in run.actions.unknown_columns:
            run.load.warn(f"column not read: {column}")
        return run.actions
    return replace(run.actions, rejected=[])


def withdrawn(
    conn: psycopg.Connection, found: ActionSet, source: str, codes: Sequence[str]
) -> list[dict[str, Any]]:
    """Stored rows of some codes that the source no longer has, marked as such.

    Those of covered codes, and those of any day that the source still has: `seq` counts within a
    day, so a day with one row less has lost its last number.
    """
    present = {(row.code, row.ex_date, row.seq) for row in found.rows}
    asked = set(codes)
    present_days = {(row.code, row.ex_date) for row in found.rows if row.code in asked}
    with conn.cursor(row_factory=dict_row) as cur:
        stored = cur.execute(
            "select * from raw_tdx.corporate_action "
            "where source = %s and not is_withdrawn and code = any(%s)",
            (source, sorted({*found.covers, *(code for code, _ in present_days)})),
        ).fetchall()
    return [
        {name: row[name] for name in _OWN} | {"is_withdrawn": True}
        for row in stored
        if (row["code"], row["ex_date"], row["seq"]) not in present
        and (row["code"] in found.covers or (row["code"], row["ex_date"]) in present_days)
    ]


def no_longer_refused(
    conn: psycopg.Connection, found: ActionSet, codes: Sequence[str], source: str
) -> list[Rejected]:
    """What an earlier reading refused and this one does not: the newest reading counts.

    Files are read whole; of the quote servers only what was asked for and answered. What no table can
    hold is refused later, under the key of the action.
    """
    stored = conn.execute(
        "select row_key, field, rule, value, payload from raw_tdx.rejected_row "
        "where dataset = 'corporate_actions' and is_withdrawn is not true "
        "and case when row_key like 'xdxr %%' then split_part(row_key, ' ', 2) = any(%s) "
        "else %s = 'csv' and row_key !~ '^(sh|sz|bj)[0-9]{6} ' end",
        (sorted(set(codes) - set(found.failed)) if source == "xdxr" else [], source),
    )
    refused = {(row.row_key, row.field, row.rule) for row in found.rejected}
    gone = [Rejected(*row) for row in stored if row[:3] not in refused]
    return [replace(row, is_withdrawn=True) for row in gone]


DATASET = Dataset("corporate_actions", CORPORATE_ACTION, "corporate actions", fetch, records)
