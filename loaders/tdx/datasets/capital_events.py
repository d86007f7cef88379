"""Dataset `capital_events`: all records of the desktop client's gbbq file.

The file holds dividends, splits and changes of capital of the whole market, so a choice of codes
has no effect. It is read again when it has changed. All records of a code are replaced together.
A file that lacks many stored records is refused (loaders.tdx.losses). A copy that is older than the
one read before does not know the days after it was written: their stored records stay. What a
record means, SQL says.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
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
from loaders.tdx.losses import judge_loss
from loaders.tdx.tables import CAPITAL_EVENT, REJECTED_ROW
from quotemill.errors import DataQualityError
from quotemill.wording import say_count

NAME = "capital_events"
KEY = "all"


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
    content = ctx.ask(lambda conn: gbbq.keep_refused(conn, content))
    known, present = ctx.ask(count_stored), count_by_code(content.rows)
    lost = {code: n - present[code] for code, n in known.items() if n > present[code]}
    refusal = judge_loss(
        ctx.load,
        NAME,
        gbbq.ROUTE,
        lost=sum(lost.values()),
        stored=known.total(),
        things="stored records",
        example=f"{min(lost)}'s" if lost else "",
        # a newer version of the vendor's brings records too
        only_lacks=not any(n > known[code] for code, n in present.items()),
    )
    if refusal:
        return Outcome(KEY, failure=refusal)
    if absent := sorted(known.keys() - present.keys()):
        ctx.ask(lambda conn: drop_codes(conn, absent))
    return Outcome(KEY, _add_lineage(content, reading.known_at), rejected, reading.cursor)


def count_stored(conn: psycopg.Connection) -> Counter[str]:
    """Count the stored records of each code."""
    query = f"select code, count(*) from {CAPITAL_EVENT.qualified} group by code"
    return Counter(dict(conn.execute(query.encode()).fetchall()))


def count_by_code(rows: pa.Table) -> Counter[str]:
    """Count the records of each code in a file."""
    counts = pc.value_counts(rows["code"]).to_pylist()
    return Counter({entry["values"]: entry["counts"] for entry in counts})


def drop_codes(conn: psycopg.Connection, codes: Sequence[str]) -> None:
    """Delete the stored records of codes of which a file that is taken has none."""
    conn.execute(
        f"delete from {CAPITAL_EVENT.qualified} where code = any(%s)".encode(), (list(codes),)
    )
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
