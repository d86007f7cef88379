"""Dataset `capital_events`: all records of the desktop client's gbbq file.

The file holds dividends, splits and changes of capital of the whole market, so a choice of codes
has no effect. It is read again when it has changed. All records of a code are replaced together.
A copy that is older than the one read before does not know the days after it was written: their
stored records stay.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime

import psycopg
import pyarrow as pa
import pyarrow.compute as pc

from loaders.engine.outcome import NOT_DUE, Outcome
from loaders.errors import DataQualityError
from loaders.landing.rejects import open_rejects
from loaders.tdx.context import Context, Dataset
from loaders.tdx.files import gbbq
from loaders.tdx.files.actions_csv import CATEGORIES
from loaders.tdx.files.gbbq import Gbbq
from loaders.tdx.files.written import Reading, State, state_in
from loaders.tdx.tables import CAPITAL_EVENT, REJECTED_ROW

NAME = "capital_events"
KEY = "all"


def fetch(run: Context, _: Sequence[str]) -> Iterator[Outcome]:
    """Yield one outcome with all records of the file."""
    yield _outcome(run)


def _outcome(run: Context) -> Outcome:
    if run.gbbq_file is None:
        return Outcome(KEY, skipped=gbbq.NO_FILE)
    try:
        before = run.load.cursors(CAPITAL_EVENT.name).get(KEY)
        if State.known_of(run.gbbq_file) == state_in(before):
            return Outcome(KEY, skipped=NOT_DUE)
        found = run.gbbq
    except DataQualityError as error:
        return Outcome(KEY, failure=f"{error} ({error.hint})" if error.hint else str(error))
    for category, count in unknown_categories(found.rows).items():
        run.load.warn(f"{NAME}: {count:,} records of the unknown category {category} are kept")
    refused = {(row.row_key, row.field, row.rule) for row in found.rejected}
    mended = [
        replace(row, is_withdrawn=True)
        for row in run.ask(lambda conn: open_rejects(conn, REJECTED_ROW, NAME))
        if row.row_key.startswith(gbbq.ROUTE) and (row.row_key, row.field, row.rule) not in refused
    ]
    reading = Reading.of(found.state, run.clock(), before)
    rows = _landed(found, reading.moment)
    return Outcome(KEY, rows, [*found.rejected, *mended], reading.cursor)


def with_later(conn: psycopg.Connection, found: Gbbq) -> Gbbq:
    """Add the stored records of later days if the file is an older copy.

    An older copy counts up to the day on which it was written.
    """
    names, day = found.rows.schema.names, found.state.day
    stored = conn.execute(
        f"select {', '.join(names)} from {CAPITAL_EVENT.qualified} where event_date > %s"
        f" and %s < (select max(fetched_at) from {CAPITAL_EVENT.qualified})".encode(),
        (day, found.state.written_at),
    ).fetchall()
    if not stored:
        return found
    later = [dict(zip(names, row, strict=True)) for row in stored]
    told = found.rows.filter(pc.less_equal(found.rows["event_date"], pa.scalar(day)))
    rows = pa.concat_tables([told, pa.Table.from_pylist(later, found.rows.schema)])
    return found._replace(rows=rows.sort_by([(name, "ascending") for name in names[:4]]))


def unknown_categories(rows: pa.Table) -> dict[int, int]:
    """Count the records of each category whose meaning is not known."""
    unknown = rows.filter(pc.invert(pc.is_in(rows["category"], pa.array(CATEGORIES, pa.int32()))))
    counts = pc.value_counts(unknown["category"]).to_pylist()
    return {found["values"]: found["counts"] for found in counts}


def _landed(found: Gbbq, moment: datetime) -> pa.Table:
    """Add the lineage columns to the rows."""
    table = found.rows
    for name, value in (
        ("source_route", gbbq.ROUTE),
        ("fetched_at", moment),
        ("is_final", True),
    ):
        kind = CAPITAL_EVENT.schema.field(name).type
        table = table.append_column(name, pa.repeat(pa.scalar(value, kind), len(table)))
    return table


def table(outcomes: Sequence[Outcome]) -> pa.Table:
    """Return the rows of the only outcome."""
    return pa.concat_tables(outcome.rows for outcome in outcomes if outcome.rows is not None)


DATASET = Dataset(NAME, CAPITAL_EVENT, gbbq.ROUTE, fetch, table, key_of=lambda _: KEY, only_key=KEY)
