"""Dataset `underlying`: the stocks, looked up once."""

from collections.abc import Iterator, Sequence

from loaders.engine.outcome import NOT_DUE, Outcome, records
from loaders.errors import UpstreamError
from loaders.ib.context import Context, Dataset
from loaders.ib.errors import UnknownUnderlying
from loaders.ib.planning import stored
from loaders.ib.tables import UNDERLYING


def fetch(run: Context, symbols: Sequence[str]) -> Iterator[Outcome]:
    for symbol in symbols:
        yield _looked_up(run, symbol)


def _looked_up(run: Context, symbol: str) -> Outcome:
    if run.ask(lambda conn: stored.underlying(conn, symbol)):
        return Outcome(symbol, skipped=NOT_DUE)
    if run.gone is not None:
        return Outcome(symbol, failure=str(run.gone))
    try:
        found = run.gateway.stock(symbol)
    except (UnknownUnderlying, UpstreamError) as error:
        run.unanswered(symbol, error)
        return Outcome(symbol, failure=str(error))
    run.answered()
    row = vars(found) | {"name": found.name or None, "source_route": "contract_details"}
    return Outcome(symbol, [row | run.lineage], cursor=run.agenda.today)


DATASET = Dataset("underlying", UNDERLYING, "contract_details", fetch, records)
