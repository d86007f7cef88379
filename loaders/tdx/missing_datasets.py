"""Datasets that the service may not have.

A replay of day files, for example, has no minutes or ticks. An empty answer alone is no evidence of
no data. So if nothing of a dataset has ever landed, a load first asks for a few codes that traded
on several due days. If none of them has a row, the service lacks the dataset: its codes are skipped
with one warning, and the next load asks again. Otherwise a code without any row is a failure.
"""

from collections.abc import Awaitable, Callable, Iterator, Sequence, Sized
from dataclasses import dataclass, replace

from loaders.engine.outcome import NOT_DUE, Outcome
from loaders.tdx.client.answers import EmptyAnswer, NoRoute
from loaders.tdx.context import Context

PROBES = 3  # codes, or all requested ones
ENOUGH_DAYS = 2  # one day of one code can be missing for many reasons
NO_ROW = "no route has any of its due days"


@dataclass
class Absence:
    """What one load knows of a dataset that the service may lack.

    possible: nothing of the dataset has landed, and no code was asked for that could tell
    proven: no code that was asked for has a row
    """

    dataset: str
    possible: bool
    proven: bool = False

    def load_codes(
        self,
        ctx: Context,
        codes: Sequence[str],
        load_code: Callable[[str], Awaitable[Outcome]],
        count_due: Callable[[str], int],
    ) -> Iterator[Outcome]:
        """Outcomes in the order of the codes; a few that can tell are asked for first.

        load_code: skips a code as NO_ROW if nothing has a row of it and absence is possible
        count_due: the number of due days on which a code traded
        """
        probes = [c for c in codes if count_due(c) >= ENOUGH_DAYS][:PROBES] if self.possible else []
        if known := {outcome.key: outcome for outcome in ctx.each(probes, load_code)}:
            self.possible = False
            self.proven = all(outcome.skipped == NO_ROW for outcome in known.values())
        if self.proven and known:
            ctx.load.warn(
                f"the service has no {self.dataset} of {' and '.join(known)} on days that they"
                " traded; the remaining codes are skipped, and the next load asks again"
            )

        async def load(code: str) -> Outcome:
            outcome = known.get(code) or await load_code(code)
            if outcome.skipped != NO_ROW:
                return outcome
            if self.proven:
                return replace(outcome, skipped=NOT_DUE)
            return replace(outcome, skipped=None, failure=NO_ROW)

        yield from ctx.each(codes, load)


def is_empty(answer: Sized | None, fault: Exception | None) -> bool:
    """Whether an answer or its error is evidence that no row exists."""
    return isinstance(fault, EmptyAnswer | NoRoute) or (answer is not None and not len(answer))
