"""Dataset `contract`: every contract of a variety that the source knows, expired ones included."""

from collections.abc import Iterator, Sequence
from functools import partial

from loaders.engine.outcome import Outcome, records
from loaders.errors import UpstreamError
from loaders.tq.context import Context, Dataset
from loaders.tq.tables import CONTRACT


def fetch(run: Context, varieties: Sequence[str]) -> Iterator[Outcome]:
    return run.each(varieties, partial(_contracts, run))


def _contracts(run: Context, variety: str) -> Outcome:
    answer = run.asked(variety)
    found = answer.contracts
    if answer.left_out:
        text = f"{', '.join(answer.left_out)}: told without tick, size or delivery, left out"
        run.load.log("info", text, {"contracts": len(answer.left_out)})
    if not found:
        raise UpstreamError(f"the source lists no contract of {variety}")
    lineage = {"source_route": "instruments"} | run.lineage
    return Outcome(variety, [row | lineage for row in found])


DATASET = Dataset(
    "contract",
    CONTRACT,
    "instruments",
    fetch,
    records,
    key_of=lambda row: str(row["variety"]),
)
