"""Dataset `gateway_event`: what the gateway said that is no plain information."""

from collections.abc import Iterator, Sequence

from loaders.engine.outcome import Outcome, SourceGone
from loaders.ib.context import Context, Dataset
from loaders.ib.slots import date_in_new_york
from loaders.ib.tables import GATEWAY_EVENT


def fetch(ctx: Context, keys: Sequence[str]) -> Iterator[Outcome]:
    """The events of a load; the last of one without a gateway end it."""
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


DATASET = Dataset("gateway_event", GATEWAY_EVENT, "messages", fetch, recurs=False)
