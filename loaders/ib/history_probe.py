"""The past of a few contracts at the gateway: printed after a week's last close, never landed.

The service has no day bars of options and counts requests, so it is a sample: `ib.history_probe`
contracts, spread over the session's, in bars of eight hours. The first refusal for too many
requests ends it. Of open interest there is no historical request: the probe tells how many of the
contracts have today's.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import date

from loaders.ib.client.values import HistorySample, OpenInterest
from loaders.ib.context import Context
from loaders.ib.contracts import universe
from loaders.ib.datasets.chain_close import why_too_late
from loaders.ib.planning.due import named_day
from loaders.ib.planning.request import CLOSE, lane_name
from loaders.ib.queries.loads import has_logged
from loaders.ib.slots import require_session, session_after
from quotemill.errors import UpstreamError

EVENT = "history probe"  # in the job's log, of a probe that was made


def probe(ctx: Context) -> None:
    """Print a summary, and write each contract's answer to the job's log; once a session."""
    count, day = ctx.settings.history_probe, named_day(ctx.load.request)
    if not count or ctx.gone is not None or ctx.load.stopping() or not ends_week(day):
        return
    if why_too_late(require_session(day), ctx.now()):
        return
    # what the close missed is requested every few minutes
    if ctx.ask(lambda conn: has_logged(conn, lane_name(CLOSE), day, EVENT)):
        return
    groups = universe.groups(ctx.settings, ctx.load.request.keys)
    symbols = [symbol for group in groups for symbol in group]
    chosen = [c for chain in ctx.chains(day, symbols).values() for c in chain.contracts]
    step = max(len(chosen) // count, 1)
    sampled = chosen[::step][:count]
    try:
        samples = ctx.gateway.history_sample(sampled)
        interest = ctx.gateway.open_interest(sampled)
    except UpstreamError as error:
        ctx.load.reporter.line(f"history probe: {error}")
        return
    finally:
        ctx.take_pacing_events()  # what the gateway said goes to the log
    ctx.load.reporter.line(summarize(samples, interest))
    ctx.load.log("info", EVENT, {s.contract.local_symbol: describe(s) for s in samples})
    ctx.load.log(
        "info",
        f"{EVENT}: open interest",
        {a.contract.local_symbol: describe_interest(a) for a in interest},
    )


def ends_week(day: date) -> bool:
    """Whether a session is its week's last: Friday, or the one before a holiday."""
    return session_after(day).trade_date.isocalendar()[:2] != day.isocalendar()[:2]


def summarize(samples: Sequence[HistorySample], interest: Sequence[OpenInterest]) -> str:
    """`history probe: 2 of 5 contracts have bars; …; open interest of 5, of today alone`."""
    have = sum(sample.bars > 0 for sample in samples)
    empty = sum(not sample.bars and sample.failure is None for sample in samples)
    failed = Counter(sample.failure.error_type for sample in samples if sample.failure)
    parts = [f"{have:,} of {len(samples):,} contracts have bars"]
    parts += [f"{empty:,} have none"] if empty else []
    parts += [f"{kind} {times:,}" for kind, times in failed.most_common()]
    known = sum(answer.open_interest is not None for answer in interest)
    parts += [f"open interest of {known:,}, of today alone"]
    return f"history probe: {'; '.join(parts)}"


def describe_interest(answer: OpenInterest) -> int | str | None:
    """The open interest, or why it did not come; None where nothing did."""
    return answer.failure.error_message if answer.failure else answer.open_interest


def describe(sample: HistorySample) -> int | str:
    """The number of bars, or why there are none."""
    return sample.failure.error_message if sample.failure else sample.bars
