"""Datasets `slot_run` and `gateway_event`: results of captures, and what the gateway said."""

from collections.abc import Iterator, Sequence
from operator import itemgetter

from loaders.engine.outcome import NOT_DUE, Outcome, SourceGone
from loaders.engine.source import Keys, Moment
from loaders.ib.capture.flags import DELAYED_TYPES
from loaders.ib.context import Context, Dataset
from loaders.ib.slots import date_in_new_york
from loaders.ib.tables import GATEWAY_EVENT, SLOT_RUN


def fetch(ctx: Context, keys: Sequence[str]) -> Iterator[Outcome]:
    for key in keys:
        row = ctx.slot_runs.get(key)
        # delayed data matter only where live data were requested
        if row and row["delayed"] and ctx.settings.market_data_type not in DELAYED_TYPES:
            text = f"{key}: {row['delayed']:,} of {row['planned']:,} quotes are delayed"
            ctx.load.note("warning", text)
        yield Outcome(key, [row]) if row else Outcome(key, skipped=NOT_DUE)


def leave(ctx: Context, keys: Sequence[str]) -> Iterator[Outcome]:
    """The results of a load that was stopped."""
    rows = [ctx.slot_runs[key] for key in keys if key in ctx.slot_runs]
    if rows:
        yield Outcome(keys[0], rows, is_part=True)


def fetch_events(ctx: Context, keys: Sequence[str]) -> Iterator[Outcome]:
    """Events that are no plain information. The last of a load without a gateway end it."""
    rows = [
        {
            "ingest_id": ctx.ingest_id,
            "seq": ctx.written_events + n,
            "occurred_at": event.at,
            "trade_date": date_in_new_york(event.at),
            "error_code": event.code,
            "action": event.action,
            "text": event.message,
            "source_route": "messages",
        }
        | ctx.lineage
        for n, event in enumerate(ctx.unwritten_events)
    ]
    ctx.written_events += len(rows)
    ctx.unwritten_events.clear()
    gone = None
    if ctx.gone is not None and ctx.is_last_step:
        gone = SourceGone(str(ctx.gone), hint=ctx.gone.hint)
    yield Outcome(keys[0], rows, gone=gone)


DATASET = Dataset(
    "slot_run",
    SLOT_RUN,
    "market_data",
    fetch,
    keys=Keys(row_key=itemgetter("symbol")),
    moment=Moment(leave),
)
EVENTS = Dataset("gateway_event", GATEWAY_EVENT, "messages", fetch_events, moment=Moment())
