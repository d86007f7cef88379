"""Dataset `underlying`: the stocks and indices, looked up once."""

from collections.abc import Iterator, Sequence

from loaders.engine.outcome import NOT_DUE, Outcome
from loaders.ib.context import Context, Dataset
from loaders.ib.contracts.universe import find_member
from loaders.ib.errors import UnknownUnderlying
from loaders.ib.queries.landed import read_underlying
from loaders.ib.tables import UNDERLYING
from quotemill.errors import UpstreamError


def fetch(ctx: Context, symbols: Sequence[str]) -> Iterator[Outcome]:
    for symbol in symbols:
        yield _look_up(ctx, symbol)


def _look_up(ctx: Context, symbol: str) -> Outcome:
    member = find_member(ctx.settings, symbol)
    stored = ctx.ask(lambda conn: read_underlying(conn, symbol))
    if stored is not None and stored.sec_type == member.sec_type:
        return Outcome(symbol, skipped=NOT_DUE)
    if ctx.gone is not None:
        return Outcome(symbol, failure=str(ctx.gone))
    try:
        underlying = ctx.gateway.find_underlying(symbol, member.sec_type, member.exchange)
    except (UnknownUnderlying, UpstreamError) as error:
        ctx.count_unanswered(symbol, error)
        return Outcome(symbol, failure=str(error))
    ctx.reset_unanswered()
    row = vars(underlying) | {"name": underlying.name or None, "source_route": "contract_details"}
    return Outcome(symbol, [row | ctx.lineage], cursor=ctx.timetable.today)


DATASET = Dataset("underlying", UNDERLYING, "contract_details", fetch)
