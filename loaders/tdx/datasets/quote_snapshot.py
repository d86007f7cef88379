"""Dataset `quote_snapshot`: current prices with five levels.

A call requests up to fifty codes. A single code without a quote fails the whole call, so a failed
batch is halved until that code is alone. Stocks and funds are requested separately, as a service
that started without its code cache serves only one kind.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import date
from typing import Any

import orjson

from loaders.engine.outcome import Outcome, SourceGone
from loaders.engine.window import Window
from loaders.landing.rejects import Rejected
from loaders.tdx.client.answers import NeedsRestart
from loaders.tdx.client.answers_quotes import Quote
from loaders.tdx.client.client import TdxClient
from loaders.tdx.context import Context, Dataset
from loaders.tdx.tables import QUOTE
from quotemill.errors import DataQualityError, UpstreamError

ROUTE = "/api/batch-quote"
SINGLE = "/api/quote"
BATCH = 50  # the most that the service takes
# A code's quote, its route and the fallback note, or the error that prevented the quote.
Answer = tuple[Quote, str, str | None] | UpstreamError | DataQualityError


def find_session_date(window: Window) -> date:
    """Return the day of a snapshot: the newest trading day up to today."""
    return window.days[bisect_right(window.days, window.today) - 1]


def fetch(ctx: Context, codes: Sequence[str]) -> Iterator[Outcome]:
    """Yield outcomes in the order of `codes`, after the last batch."""
    day = find_session_date(ctx.window)

    async def load_batch(batch: Sequence[str]) -> dict[str, Answer]:
        return await request_quotes(ctx.client, batch)

    answers: dict[str, Answer] = {}
    for quotes in ctx.loop.in_order(batches(ctx, codes), load_batch, ctx.settings.concurrency):
        answers |= quotes
    for code in codes:
        yield _outcome(ctx, code, answers[code], day)


def batches(ctx: Context, codes: Sequence[str]) -> list[Sequence[str]]:
    """Split codes into batches of stocks or funds, at most fifty codes each."""
    funds = [code for code in codes if ctx.instrument_type(code) == "fund"]
    stocks = [code for code in codes if ctx.instrument_type(code) != "fund"]
    return [
        kind[start : start + BATCH]
        for kind in (stocks, funds)
        for start in range(0, len(kind), BATCH)
    ]


async def request_quotes(
    client: TdxClient, codes: Sequence[str], instead: str | None = None
) -> dict[str, Answer]:
    """Return for each code its quote or the error that prevented it.

    `instead` says why the codes are requested again, after a larger batch failed.
    """
    try:
        if len(codes) > 1:
            return {quote.code: (quote, ROUTE, None) for quote in await client.quotes(codes)}
        return {quote.code: (quote, SINGLE, instead) for quote in await client.quote(codes)}
    except (SourceGone, NeedsRestart) as error:  # a smaller batch would fail too
        return dict.fromkeys(codes, error)
    except (UpstreamError, DataQualityError) as error:
        if len(codes) == 1:
            return {codes[0]: error}
        instead = f"{ROUTE} → {SINGLE}: {type(error).__name__}"
    half = len(codes) // 2
    first = await request_quotes(client, codes[:half], instead)
    return first | await request_quotes(client, codes[half:], instead)


def _outcome(ctx: Context, code: str, answer: Answer, day: date) -> Outcome:
    if isinstance(answer, SourceGone):
        return Outcome(code, failure=str(answer), gone=answer)
    if isinstance(answer, NeedsRestart):
        return Outcome(code, failure=f"{answer} ({answer.hint})")
    if isinstance(answer, Exception):
        culprit = f"{ROUTE} → {SINGLE}: no quote of {code} ({answer})"
        return Outcome(code, failure=str(answer), fallback=culprit)
    quote, route, instead = answer
    if refused := find_broken_rules(quote):
        return Outcome(code, rejected=refused, fallback=instead)
    row = _row(quote) | {
        "sampled_at": ctx.began,
        "trade_date": day,
        "source_route": route,
        "is_final": True,  # a snapshot never changes
    }
    return Outcome(code, rows=[row], cursor=day, fallback=instead)


def find_broken_rules(quote: Quote) -> list[Rejected]:
    """List the impossible values of a quote; zeros are possible before it opens."""
    wrong = [
        (name, f"{name} must not be negative")
        for name in ("previous_close", "open", "high", "low", "close", "total_hand")
        if getattr(quote, name) < 0
    ]
    if quote.high < quote.low:
        wrong.append(("high", "high must not be below low"))
    payload = orjson.dumps(_row(quote), default=str).decode()
    return [
        Rejected(
            f"{quote.code} {quote.fetched_at:%Y-%m-%dT%H:%M:%SZ}",
            name,
            rule,
            str(getattr(quote, name)),
            payload,
        )
        for name, rule in wrong
    ]


def _row(quote: Quote) -> dict[str, Any]:
    row = asdict(quote)
    sides = (("bid", row.pop("bids")), ("ask", row.pop("asks")))
    return row | {
        f"{side}{level}_{name}": value
        for side, pairs in sides
        for level, pair in enumerate(pairs, start=1)
        for name, value in zip(("price", "volume"), pair, strict=True)
    }


DATASET = Dataset("quote_snapshot", QUOTE, ROUTE, fetch)
