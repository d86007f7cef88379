"""Dataset `quote_snapshot`: prices of the moment with five levels, by batches of fifty codes.

One code that cannot be served fails the whole call, so a batch that fails is halved until the
culprit stands alone. Stocks and funds are asked for apart: a service that started without its code
cache serves the ones and not the others.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import date
from typing import Any

import orjson

from loaders.engine.outcome import Outcome, SourceGone, records
from loaders.engine.window import Window
from loaders.errors import DataQualityError, UpstreamError
from loaders.landing.rejects import Rejected
from loaders.tdx.client.answers import NeedsRestart
from loaders.tdx.client.answers_quotes import Quote
from loaders.tdx.client.client import TdxClient
from loaders.tdx.context import Context, Dataset
from loaders.tdx.tables import QUOTE

ROUTE = "/api/batch-quote"
SINGLE = "/api/quote"
BATCH = 50  # the most that the service takes
# what came of one code: its quote with its route and what that stood in for, or why there is none
Answer = tuple[Quote, str, str | None] | UpstreamError | DataQualityError


def session_date(window: Window) -> date:
    """The newest trading day that has begun or is over: the day which a snapshot is about."""
    return window.days[bisect_right(window.days, window.today) - 1]


def fetch(run: Context, codes: Sequence[str]) -> Iterator[Outcome]:
    """Outcomes in the order of `codes`, after the last batch has come."""
    day = session_date(run.window)

    async def one(batch: Sequence[str]) -> dict[str, Answer]:
        return await asked(run.client, batch)

    answers: dict[str, Answer] = {}
    for found in run.loop.in_order(batches(run, codes), one, run.settings.concurrency):
        answers |= found
    for code in codes:
        yield _outcome(run, code, answers[code], day)


def batches(run: Context, codes: Sequence[str]) -> list[Sequence[str]]:
    """Stocks and funds apart, at most fifty codes each."""
    funds = [code for code in codes if run.instrument_type(code) == "fund"]
    stocks = [code for code in codes if run.instrument_type(code) != "fund"]
    return [
        kind[start : start + BATCH]
        for kind in (stocks, funds)
        for start in range(0, len(kind), BATCH)
    ]


async def asked(
    client: TdxClient, codes: Sequence[str], instead: str | None = None
) -> dict[str, Answer]:
    """An answer for each code: its quote, or what keeps it from having one.

    `instead` is why these codes are asked for again, after a larger batch failed.
    """
    try:
        if len(codes) > 1:
            return {quote.code: (quote, ROUTE, None) for quote in await client.quotes(codes)}
        return {quote.code: (quote, SINGLE, instead) for quote in await client.quote(codes)}
    except (SourceGone, NeedsRestart) as error:  # no smaller batch would fare better
        return dict.fromkeys(codes, error)
    except (UpstreamError, DataQualityError) as error:
        if len(codes) == 1:
            return {codes[0]: error}
        instead = f"{ROUTE} → {SINGLE}: {type(error).__name__}"
    half = len(codes) // 2
    first = await asked(client, codes[:half], instead)
    return first | await asked(client, codes[half:], instead)


def _outcome(run: Context, code: str, answer: Answer, day: date) -> Outcome:
    if isinstance(answer, SourceGone):
        return Outcome(code, failure=str(answer), gone=answer)
    if isinstance(answer, NeedsRestart):
        return Outcome(code, failure=f"{answer} ({answer.hint})")
    if isinstance(answer, Exception):
        culprit = f"{ROUTE} → {SINGLE}: no quote of {code} ({answer})"
        return Outcome(code, failure=str(answer), fallback=culprit)
    quote, route, instead = answer
    if refused := broken_rules(quote):
        return Outcome(code, rejected=refused, fallback=instead)
    row = _row(quote) | {
        "sampled_at": run.began,
        "trade_date": day,
        "source_route": route,
        "is_final": True,  # a snapshot never changes
    }
    return Outcome(code, rows=[row], cursor=day, fallback=instead)


def broken_rules(quote: Quote) -> list[Rejected]:
    """What of a quote cannot be true. Zeros can: of what is suspended, or has not opened yet."""
    wrong = [
        (name, f"{name} must not be negative")
        for name in ("previous_close", "open", "high", "low", "close", "total_hand")
        if getattr(quote, name) < 0
    ]
    if quote.high < quote.low:
        wrong.append(("high", "high must not be below low"))
    payload = orjson.dumps(_row(quote), default=str).decode()
    return [
        Rejected(f"{quote.code} {quote.fetched_at:%Y-%m-%dT%H:%M:%SZ}", name, rule,
                 str(getattr(quote, name)), payload)
        for name, rule in wrong
    ]  # fmt: skip


def _row(quote: Quote) -> dict[str, Any]:
    row = asdict(quote)
    sides = (("bid", row.pop("bids")), ("ask", row.pop("asks")))
    return row | {
        f"{side}{level}_{name}": value
        for side, pairs in sides
        for level, pair in enumerate(pairs, start=1)
        for name, value in zip(("price", "volume"), pair, strict=True)
    }


DATASET = Dataset("quote_snapshot", QUOTE, ROUTE, fetch, records)
