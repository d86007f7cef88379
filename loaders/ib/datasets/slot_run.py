"""Datasets `slot_run` and `gateway_event`: how captures went, and what the gateway said meanwhile."""

from collections.abc import Iterator, Sequence

from loaders.engine.outcome import NOT_DUE, Outcome, SourceGone, records
from loaders.ib.capture.flags import DELAYED_TYPES
from loaders.ib.context import Context, Dataset
from loaders.ib.slots import date_in_new_york
from loaders.ib.tables import GATEWAY_EVENT, SLOT_RUN


def fetch(run: Context, keys: Sequence[str]) -> Iterator[Outcome]:
    for key in keys:
        row = run.slot_runs.get(key)
        # who asks for delayed data has what was asked for
        if row and row["delayed"] and run.settings.market_data_type not in DELAYED_TYPES:
            told = f"{key}: {row['delayed']:,} of {row['planned']:,} quotes are delayed"
            run.load.note("warning", told)
        yield Outcome(key, [row]) if row else Outcome(key, skipped=NOT_DUE)


def fetch_events(run: Context, keys: Sequence[str]) -> Iterator[Outcome]:
    """What the gateway said that is no plain information. The last rows of a load that found nobody end it."""
    rows = [
        {
            "ingest_id": run.ingest_id,
            "seq": run.written + n,
            "occurred_at": event.at,
            "trade_date": date_in_new_york(event.at),
            "error_code": event.code,
            "action": event.action,
            "text": event.message,
            "source_route": "messages",
        }
        | run.lineage
        for n, event in enumerate(run.telling)
    ]
    run.written += len(rows)
    run.telling.clear()
    gone = None
    if run.gone is not None and run.is_last_step:
        gone = SourceGone(str(run.gone), hint=run.gone.hint)
    yield Outcome(keys[0], rows, gone=gone)


DATASET = Dataset(
    "slot_run", SLOT_RUN, "market_data", fetch, records, key_of=lambda r: str(r["symbol"])
)
EVENTS = Dataset("gateway_event", GATEWAY_EVENT, "messages", fetch_events, records)
