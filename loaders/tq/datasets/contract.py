"""Dataset `contract`: every known contract of a variety, expired ones included."""

from collections.abc import Iterator, Sequence
from functools import partial
from operator import itemgetter

from loaders.engine.outcome import Outcome
from loaders.engine.source import Keys
from loaders.tq.context import Context, Dataset
from loaders.tq.tables import CONTRACT
from quotemill.errors import UpstreamError


def fetch(ctx: Context, varieties: Sequence[str]) -> Iterator[Outcome]:
    return ctx.load_each(varieties, partial(_load_contracts, ctx))


def _load_contracts(ctx: Context, variety: str) -> Outcome:
    answer = ctx.fetch_instruments(variety)
    if answer.left_out:
        names = ", ".join(answer.left_out)
        text = (
            f"{names}: left out, because the source gives no tick size, lot size or delivery month"
        )
        ctx.load.log("info", text, {"contracts": len(answer.left_out)})
    if answer.undescribed:
        names = ", ".join(answer.undescribed)
        ctx.load.warn(f"{names}: left out, because the source lists but does not describe it")
    if not answer.contracts:
        raise UpstreamError(f"the source lists no contracts of {variety}")
    lineage = {"source_route": "instruments"} | ctx.lineage
    return Outcome(variety, [row | lineage for row in answer.contracts])


DATASET = Dataset(
    "contract", CONTRACT, "instruments", fetch, keys=Keys(row_key=itemgetter("variety"))
)
