"""Datasets that the service may not have.

A replay of day files, for example, has no minutes or ticks. An empty answer alone is no evidence of
no data. But if nothing of a dataset has ever landed, and the first codes that a load asks for have
no row on any due day either, the service lacks the dataset: the other codes are skipped with one
warning, and the next load asks again. Once anything has landed, a code without any row is a
failure.
"""

from collections.abc import Iterable, Iterator, Sized
from dataclasses import dataclass, replace

from loaders.engine.outcome import NOT_DUE, Outcome
from loaders.tdx.client.answers import EmptyAnswer, NoRoute
from loaders.tdx.context import Context
from quotemill.wording import say_count

ENOUGH = 3  # codes: one can be missing for many reasons, and each of thousands costs requests
NO_ROW = "no route has any of its due days"


@dataclass
class Absence:
    """What one load knows of a dataset that the service may lack.

    possible: nothing of the dataset has landed, and no code has come with a row
    empty: the number of codes without any
    """

    dataset: str
    possible: bool
    empty: int = 0

    @property
    def proven(self) -> bool:
        return self.possible and self.empty >= ENOUGH

    def judge(self, ctx: Context, outcomes: Iterable[Outcome]) -> Iterator[Outcome]:
        """Pass outcomes on, codes without a row as skipped or as failures. Not on the event loop.

        outcomes: a code is skipped as NO_ROW if nothing has a row of it and absence is possible
        """
        for outcome in outcomes:
            self.possible = self.possible and outcome.rows is None
            if outcome.skipped != NO_ROW:
                yield outcome
                continue
            if not self.possible:
                yield replace(outcome, skipped=None, failure=NO_ROW)
                continue
            self.empty += 1
            if self.empty == ENOUGH:
                ctx.load.warn(
                    f"the service has no {self.dataset} of {ENOUGH} codes on days that they traded;"
                    " the remaining codes are skipped, and the next load asks again"
                )
            yield replace(outcome, skipped=NOT_DUE)
        if self.possible and 0 < self.empty < ENOUGH:
            ctx.load.warn(
                f"the service has no {self.dataset} of {say_count(self.empty, 'code')} on days that"
                " they traded; the next load asks again"
            )


def is_empty(answer: Sized | None, fault: Exception | None) -> bool:
    """Whether an answer or its error is evidence that no row exists."""
    return isinstance(fault, EmptyAnswer | NoRoute) or (answer is not None and not len(answer))
