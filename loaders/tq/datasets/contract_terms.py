"""Dataset `contract_terms`: limits, margin, fee and figures of the day before, by quotes.

Keys are varieties. The source gives them for today alone, so there is a row for each trading day on
which a load ran while its quotes stood: from a day's first quote to that of the next one. A quote
that stands still gives no row.

The servers show the figures of the next trading day at a time in the evening that is not published,
with the stamp of the last quote before. So the day bars decide then: figures of the day before that
are those of the stamp's own day are the next day's.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from functools import partial

from loaders.engine.outcome import NOT_DUE, Outcome
from loaders.engine.source import Keys
from loaders.tq import landed
from loaders.tq.client.answers import Quote
from loaders.tq.context import Context, Dataset
from loaders.tq.landed import Figures
from loaders.tq.tables import CONTRACT_TERMS
from loaders.tq.trading_day import trading_day_of


def fetch(ctx: Context, varieties: Sequence[str]) -> Iterator[Outcome]:
    return ctx.load_each(varieties, partial(_load_terms, ctx))


def _load_terms(ctx: Context, variety: str) -> Outcome:
    listed = [
        row["contract"]
        for row in ctx.fetch_instruments(variety).contracts
        if row["expire_date"] is None or row["expire_date"] >= ctx.today
    ]
    if not listed:
        return Outcome(variety, skipped=NOT_DUE)
    quotes, ended = ctx.harvest.terms(listed), ctx.last_ended_day(variety)
    first = next((day for day in reversed(ctx.days) if ended and day < ended), ctx.first_day)
    closes = ctx.ask(lambda conn: landed.last_closes(conn, listed, first))
    days = find_days(quotes, ctx.days, closes, ended)
    if not days:
        return Outcome(variety, skipped=f"no quote of {variety} from {ended} or later: no terms")
    if len(days) < len(listed):
        frozen = ", ".join(contract for contract in listed if contract not in days)
        ctx.load.log("info", f"no terms of {frozen}: no quote from {ended} or later", {})
    lineage = {"source_route": "quotes"} | ctx.lineage
    rows = [
        {
            "contract": quote.contract,
            "trade_date": days[quote.contract],
            **{n: int(v) if v is not None and n in WHOLE else v for n, v in quote.terms.items()},
            "quoted_at": quote.quoted_at,
            **lineage,
        }
        for quote in quotes
        if quote.contract in days
    ]
    _report_missing(ctx, variety, listed, quotes)
    return Outcome(variety, rows)


WHOLE = ("pre_open_interest", "volume_multiple")


def find_days(
    quotes: Sequence[Quote],
    calendar: Sequence[date],
    closes: Mapping[str, Mapping[date, Figures]],
    ended: date | None,
) -> dict[str, date]:
    """The trading day of each contract's terms, without those of quotes that stand still.

    `closes`: of a variety's day bars; `ended`: the newest trading day that is over.
    """
    days = dict[str, date]()
    for quote in quotes:
        day = trading_day_of(quote.quoted_at, calendar) if quote.quoted_at else None
        if day is not None and (ended is None or day >= ended):
            days[quote.contract] = day
    if ended is not None and _are_of_next_day(quotes, days, calendar, closes, ended):
        later = next((day for day in calendar if day > ended), None)
        days = {c: later if day == ended else day for c, day in days.items() if later}
    return days


def _are_of_next_day(
    quotes: Sequence[Quote],
    days: Mapping[str, date],
    calendar: Sequence[date],
    closes: Mapping[str, Mapping[date, Figures]],
    ended: date,
) -> bool:
    """Whether quotes of a day that is over have the figures of the next one already.

    Most contracts whose bars of that day and of the day before differ decide.
    """
    before = next((day for day in reversed(calendar) if day < ended), None)
    votes = 0
    for quote in quotes:
        bars = closes.get(quote.contract, {})
        old, new = bars.get(before) if before else None, bars.get(ended)
        if days.get(quote.contract) != ended or old is None or new is None:
            continue
        given = (quote.terms["pre_close"], quote.terms["pre_open_interest"])
        votes += (given == new) - (given == old)
    return votes > 0


def _report_missing(
    ctx: Context, variety: str, contracts: Sequence[str], quotes: Sequence[Quote]
) -> None:
    """Say once what no quote of a variety has."""
    given = {name for quote in quotes for name, value in quote.terms.items() if value is not None}
    before = ctx.ask(lambda conn: landed.given_terms(conn, contracts))
    wanted = set(quotes[0].terms)
    missing = (wanted if before is None else wanted & before) - given
    if missing:
        ctx.load.warn(f"the source gives no {', '.join(sorted(missing))} of {variety}: null")


DATASET = Dataset(
    "contract_terms",
    CONTRACT_TERMS,
    "quotes",
    fetch,
    keys=Keys(row_key=lambda row: landed.variety_of(row["contract"])),
)
