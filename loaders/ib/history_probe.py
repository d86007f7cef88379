"""What the historical-data call has of a few contracts: printed after the close, never landed.

The service has no day bars of options and counts requests, so it is a sample: `ib.history_probe`
contracts, spread over the session's, in bars of eight hours. The first refusal for too many
requests ends it.
"""

from collections import Counter
from collections.abc import Sequence

from loaders.errors import UpstreamError
from loaders.ib.client.values import HistorySample
from loaders.ib.context import Context
from loaders.ib.planning.due import named_day
from loaders.ib.slots import parse_symbol


def probe(ctx: Context) -> None:
    """Print a summary, and write each contract's answer to the job's log."""
    count, day = ctx.settings.history_probe, named_day(ctx.load.request)
    if not count or ctx.gone is not None or ctx.load.stopping():
        return
    symbols = [parse_symbol(key) for key in ctx.slot_runs]
    chosen = [c for chain in ctx.chains(day, symbols).values() for c in chain.contracts]
    step = max(len(chosen) // count, 1)
    try:
        samples = ctx.gateway.history_sample(chosen[::step][:count])
    except UpstreamError as error:
        ctx.load.reporter.line(f"history probe: {error}")
        return
    finally:
        ctx.take_pacing_events()  # what the gateway said goes to the log
    ctx.load.reporter.line(summarize(samples))
    ctx.load.log("info", "history probe", {s.contract.local_symbol: describe(s) for s in samples})


def summarize(samples: Sequence[HistorySample]) -> str:
    """`history probe: 2 of 5 contracts have bars; 1 has none; no_permission 2`."""
    have = sum(sample.bars > 0 for sample in samples)
    empty = sum(not sample.bars and sample.failure is None for sample in samples)
    failed = Counter(sample.failure.error_type for sample in samples if sample.failure)
    parts = [f"{have:,} of {len(samples):,} contracts have bars"]
    parts += [f"{empty:,} have none"] if empty else []
    parts += [f"{kind} {times:,}" for kind, times in failed.most_common()]
    return f"history probe: {'; '.join(parts)}"


def describe(sample: HistorySample) -> int | str:
    """The number of bars, or why there are none."""
    return sample.failure.error_message if sample.failure else sample.bars
