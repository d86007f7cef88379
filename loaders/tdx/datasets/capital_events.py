"""Dataset `capital_events`: all records of the desktop client's gbbq file.

The file holds dividends, splits and changes of capital of the whole market, so a choice of codes
has no effect. It is read again when it has changed. All records of a code are replaced together.
A file that lacks many stored records is refused (loaders.tdx.losses), and a lost one that changes
prices stays until it has a witness (loaders.tdx.lost_events). A copy that is older than the one
read before takes none away. What a record means, SQL says.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime

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
from loaders.tdx.files.written import Reading, State, state_in
from loaders.tdx.losses import Loss, judge_loss
from loaders.tdx.lost_events import Event, doubt, find_lost, leave_doubted, list_priced, name_doubt
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
        fix = ctx.settings.choose_fix(client="start the client once to download it")
        skipped = f"the client's folder has no {gbbq.PLACE}: {fix}"
        return ctx.miss_file(NAME, KEY, gbbq.PLACE, before, skipped=skipped)
    last, accepts = state_in(before), ctx.load.request.accepts_loss_of(NAME)
    try:
        if not accepts and last is not None:
            if State.read_state(ctx.gbbq_file) == last:
                return Outcome(KEY, skipped=NOT_DUE)
            if same := last.unchanged(ctx.gbbq_file):
                known = Reading.make(same, ctx.clock(), before)
                return Outcome(KEY, skipped=NOT_DUE, cursor=known.cursor)
        content = gbbq.read_events(ctx.gbbq_file)
    except DataQualityError as error:
        return Outcome(KEY, failure=error.with_hint)
    for category, count in count_unknown(content.rows).items():
        ctx.load.warn(
            f"{NAME}: {say_count(count, 'record')} with unknown category {category}, "
            "loaded but not used"
        )
    reading = Reading.make(content.state, ctx.clock(), before)
    open_rows = ctx.ask(lambda conn: open_rejects(conn, REJECTED_ROW, NAME))
    stored = ctx.ask(gbbq.read_stored)
    present = list(gbbq.list_events(content.rows)) if stored else []
    lost, staying = find_lost(stored, present), list[Event]()
    if reading.known_at > content.state.written_at and not accepts:
        lost, staying = [], lost  # an older copy takes none away
    else:  # nor does a refused record
        lost, staying = _split_refused(lost, gbbq.count_refused(content))
    versions = gbbq.name_version(last), gbbq.name_version(content.state)
    judged = leave_doubted(gbbq.ROUTE, lost, open_rows)
    loss = Loss(
        f"{gbbq.ROUTE} of {versions[1]}",
        len(judged),
        len(stored) - len(lost) + len(judged),
        f"records stored from {versions[0]}",
        example=str(next(iter(judged), "")),
        is_older=len(present) < len(stored) and _newest(present) < _newest(stored),
    )
    if refusal := judge_loss(ctx.load, NAME, loss):
        return Outcome(KEY, failure=refusal)
    priced = ctx.ask(lambda conn: list_priced(conn, lost))
    doubts = doubt(ctx.load, NAME, gbbq.ROUTE, priced, open_rows, versions)
    rows = gbbq.add_events(content.rows, staying + doubts.staying)
    absent = {event.code for event in stored}.difference(rows["code"].to_pylist())
    if absent:
        ctx.ask(lambda conn: drop_codes(conn, sorted(absent)))
    rejected = [*content.rejected, *doubts.rejected]
    # what stays for another reason is doubted as before
    doubted = {name_doubt(gbbq.ROUTE, event) for event in staying}
    settled = [row for row in open_rows if row.row_key not in doubted]
    rejected += withdraw_settled(settled, rejected, lambda row: row.row_key.startswith(gbbq.ROUTE))
    rows = _add_lineage(rows, reading.known_at)
    return Outcome(KEY, rows, rejected, reading.cursor, failure=doubts.failure)


def _split_refused(
    lost: Iterable[Event], refused: Counter[tuple[str, date, int]]
) -> tuple[list[Event], list[Event]]:
    """The events that a file lacks, and those in whose place it has a refused record."""
    gone, staying = list[Event](), list[Event]()
    for event in lost:
        refused[event.place] -= 1
        (gone if refused[event.place] < 0 else staying).append(event)
    return gone, staying


def _newest(events: Sequence[Event]) -> date:
    return max((event.day for event in events), default=date.min)


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


def _add_lineage(table: pa.Table, known_at: datetime) -> pa.Table:
    """Add the lineage columns to the rows."""
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
