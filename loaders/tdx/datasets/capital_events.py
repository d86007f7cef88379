"""Dataset `capital_events`: all records of the desktop client's gbbq file.

The file holds dividends, splits and changes of capital of the whole market, so a choice of codes
has no effect. It is read again when it has changed. All records of a code are replaced together.
A file that lacks stored records is refused for their codes, or whole
(loaders.tdx.lost_events). A copy that is older than the one read before does not know the days
after it was written: their stored records stay. What a record means, SQL says.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from datetime import datetime

import psycopg
import pyarrow as pa
import pyarrow.compute as pc

from loaders.engine.outcome import NOT_DUE, Outcome
from loaders.engine.source import Keys
from loaders.landing.change_feed import touch
from loaders.landing.rejects import open_rejects, withdraw_settled
from loaders.tdx.actions import CATEGORIES
from loaders.tdx.context import Context, Dataset
from loaders.tdx.files import gbbq
from loaders.tdx.files.gbbq import Gbbq
from loaders.tdx.files.written import Reading, State, state_in
from loaders.tdx.losses import refuse_loss
from loaders.tdx.lost_events import find_lost_events
from loaders.tdx.tables import CAPITAL_EVENT, REJECTED_ROW
from quotemill.errors import DataQualityError
from quotemill.wording import say_count

NAME = "capital_events"
KEY = "all"
READ_IN_PART = 0  # as the size of a version, which no file that can be read has


def fetch(ctx: Context, _: Sequence[str]) -> Iterator[Outcome]:
    """Yield one outcome with all records of the file."""
    yield _outcome(ctx)


def _outcome(ctx: Context) -> Outcome:
    before = ctx.load.cursors(CAPITAL_EVENT.name).get(KEY)
    if ctx.gbbq_file is None:
        return ctx.miss_file(NAME, KEY, gbbq.PLACE, before, skipped=gbbq.NO_FILE)
    try:
        if State.read_state(ctx.gbbq_file) == state_in(before):
            return Outcome(KEY, skipped=NOT_DUE)
        content = ctx.gbbq
    except DataQualityError as error:
        return Outcome(KEY, failure=error.with_hint)
    for category, count in count_unknown(content.rows).items():
        ctx.load.warn(
            f"{NAME}: of the unknown category {category} {say_count(count, 'record')} landed unused"
        )
    stored = ctx.ask(lambda conn: open_rejects(conn, REJECTED_ROW, NAME))
    rejected = [
        *content.rejected,
        *withdraw_settled(stored, content.rejected, lambda row: row.row_key.startswith(gbbq.ROUTE)),
    ]
    reading = Reading.make(content.state, ctx.clock(), before)
    rows = _add_lineage(ctx.ask(lambda conn: gbbq.keep_refused(conn, content)), reading.known_at)
    lost = ctx.ask(lambda conn: find_lost_events(conn, content))
    loss = lost.describe()
    refusal = refuse_loss(ctx.load, NAME, loss) if loss else None
    if refusal is None:
        ctx.ask(lambda conn: drop_absent_codes(conn, content, lost.by_code))
        return Outcome(KEY, rows, rejected, reading.cursor)
    if lost.is_gross:
        return Outcome(KEY, failure=refusal)
    is_lost = pc.is_in(rows["code"], pa.array(lost.by_code, pa.string()))
    # a part of it has landed: what is there next is read, also the version of before
    part = Reading.make(replace(content.state, size=READ_IN_PART), ctx.clock(), before)
    rest = rows.filter(pc.invert(is_lost))
    return Outcome(KEY, rest, rejected, part.cursor, failure=refusal)


def drop_absent_codes(conn: psycopg.Connection, content: Gbbq, lost: Collection[str]) -> None:
    """Delete the stored records of the codes with an accepted loss of which a file has none."""
    absent = set(lost) - set(pc.unique(content.rows["code"]).to_pylist())
    gone = conn.execute(
        f"delete from {CAPITAL_EVENT.qualified} where code = any(%s) returning code".encode(),
        (sorted(absent),),
    ).fetchall()
    if codes := sorted({code for (code,) in gone}):
        touch(conn, CAPITAL_EVENT, codes)


def count_unknown(rows: pa.Table) -> dict[int, int]:
    """Count the records of each category whose meaning is not known."""
    unknown = rows.filter(pc.invert(pc.is_in(rows["category"], pa.array(CATEGORIES, pa.int32()))))
    counts = pc.value_counts(unknown["category"]).to_pylist()
    return {entry["values"]: entry["counts"] for entry in counts}


def _add_lineage(content: Gbbq, known_at: datetime) -> pa.Table:
    """Add the lineage columns to the rows."""
    table = content.rows
    for name, value in (
        ("source_route", gbbq.ROUTE),
        ("fetched_at", known_at),
        ("is_final", True),
    ):
        kind = CAPITAL_EVENT.schema.field(name).type
        table = table.append_column(name, pa.repeat(pa.scalar(value, kind), len(table)))
    return table


def table(outcomes: Sequence[Outcome]) -> pa.Table:
    """Return the rows of the only outcome."""
    return pa.concat_tables(outcome.rows for outcome in outcomes if outcome.rows is not None)


DATASET = Dataset(
    NAME, CAPITAL_EVENT, gbbq.ROUTE, fetch, table, keys=Keys(row_key=lambda _: KEY, only=KEY)
)
