"""Dataset `capital_events`: every record of the desktop client's gbbq, whatever its category.

Dividends, splits and changes of capital of the whole market, so codes choose nothing. The file is read
again only once it was written again; a code's records are replaced as one.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from loaders.engine.outcome import Outcome
from loaders.engine.rejects import open_refusals
from loaders.errors import DataQualityError
from loaders.tdx.context import Context, Dataset
from loaders.tdx.files import gbbq, written
from loaders.tdx.files.actions_csv import CATEGORIES
from loaders.tdx.schemas import CAPITAL_EVENT, REJECTED_ROW

NAME = "capital_events"
KEY = "all"


def fetch(run: Context, _: Sequence[str]) -> Iterator[Outcome]:
    """The one outcome: all records of the file."""
    yield _outcome(run)


def _outcome(run: Context) -> Outcome:
    if run.gbbq_file is None:
        return Outcome(KEY, skipped=gbbq.NO_FILE)
    try:
        version = written.version(run.gbbq_file)
        if why := written.not_due(version, run.load.cursors(CAPITAL_EVENT.name).get(KEY)):
            return Outcome(KEY, skipped=why)
        found = run.gbbq
    except DataQualityError as error:
        return Outcome(KEY, failure=f"{error} ({error.hint})" if error.hint else str(error))
    for category, count in unknown_categories(found.rows).items():
        run.load.warn(f"{NAME}: {count:,} records of the unknown category {category} are kept")
    refused = {(row.row_key, row.field, row.rule) for row in found.rejected}
    before = run.ask(lambda conn: open_refusals(conn, REJECTED_ROW, NAME))
    mended = [
        replace(row, is_withdrawn=True)
        for row in before
        if row.row_key.startswith(gbbq.ROUTE) and (row.row_key, row.field, row.rule) not in refused
    ]
    return Outcome(KEY, _landed(found), [*found.rejected, *mended], found.version)


def unknown_categories(rows: pa.Table) -> dict[int, int]:
    """How many records have a category whose meaning nobody knows, by category."""
    unknown = rows.filter(pc.invert(pc.is_in(rows["category"], pa.array(CATEGORIES, pa.int32()))))
    counts = pc.value_counts(unknown["category"]).to_pylist()
    return {found["values"]: found["counts"] for found in counts}


def _landed(found: gbbq.Gbbq) -> pa.Table:
    """The rows with their lineage."""
    table = found.rows
    for name, value in (
        ("source_route", gbbq.ROUTE),
        ("fetched_at", found.written_at),
        ("is_final", True),
    ):
        kind = CAPITAL_EVENT.schema.field(name).type
        table = table.append_column(name, pa.repeat(pa.scalar(value, kind), len(table)))
    return table


def table(outcomes: Sequence[Outcome]) -> pa.Table:
    """The rows of the only outcome."""
    return pa.concat_tables(outcome.rows for outcome in outcomes if outcome.rows is not None)


DATASET = Dataset(NAME, CAPITAL_EVENT, gbbq.ROUTE, fetch, table, key_of=lambda _: KEY, only_key=KEY)
