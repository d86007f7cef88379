"""What the historical-data call has of a few contracts: told after the close, never landed.

The service has no day bars of options and counts requests, so it is a sample: `ib.history_probe` contracts, spread
over the session's, in bars of eight hours. The first refusal for too many requests ends it.
"""

from collections import Counter
from collections.abc import Sequence

from loaders.errors import UpstreamError
from loaders.ib.capture.slot_capture import symbol_of
from loaders.ib.client.gateway import HistorySample
from loaders.ib.context import Context
from loaders.ib.planning.request import day_of


def probe(run: Context) -> None:
    """Ask, tell one line, and write each contract's answer to the job's log."""
    count, day = run.settings.history_probe, day_of(run.load.request)
    if not count or run.gone is not None or run.load.stopping():
        return
    symbols = [symbol_of(key) for key in run.slot_runs]
    chosen = [c for chain in run.chains(day, symbols).values() for c in chain.contracts]
    step = max(len(chosen) // count, 1)
    try:
        samples = run.gateway.history_sample(chosen[::step][:count])
    except UpstreamError as error:
        run.load.reporter.line(f"history probe: {error}")
        return
    finally:
        run.pacing_events()  # what the gateway said goes to the log
    run.load.reporter.line(summary(samples))
    run.load.log("info", "history probe", {s.contract.local_symbol: answer(s) for s in samples})


def summary(samples: Sequence[HistorySample]) -> str:
    """`history probe: 2 of 5 contracts have bars; 1 has none; no_permission 2`."""
    have = sum(sample.bars > 0 for sample in samples)
    empty = sum(not sample.bars and sample.failure is None for sample in samples)
    failed = Counter(sample.failure.error_type for sample in samples if sample.failure)
    told = [f"{have:,} of {len(samples):,} contracts have bars"]
    told += [f"{empty:,} have none"] if empty else []
    told += [f"{kind} {times:,}" for kind, times in failed.most_common()]
    return f"history probe: {'; '.join(told)}"


def answer(sample: HistorySample) -> int | str:
    """The number of bars, or why there are none."""
    return sample.failure.error_message if sample.failure else sample.bars
