"""Datasets that the service may not have.

A replay of day files, for example, has no minutes or ticks. An empty answer alone is no evidence of
no data. It is evidence if nothing of the dataset has ever landed and several codes have no row on
days that they traded. Then these codes and those after them are skipped with one warning, and the
next load asks again. Once a single code has rows, a code without any is a failure.
"""

from collections.abc import Callable, Iterator, Sized
from dataclasses import dataclass, replace

from loaders.engine.outcome import NOT_DUE, Outcome
from loaders.tdx.client.answers import EmptyAnswer, NoRoute

ENOUGH_CODES = 3  # or all requested codes
ENOUGH_DAYS = 2  # one day of one code can be missing for many reasons
NONE, TOO_FEW = "no row on several days", "no row on a single day"  # until the reason is known
THEIRS_ALONE = "no route has any of its due days"


@dataclass
class Absence:
    """Evidence of one load that the service lacks a dataset.

    possible: nothing of the dataset has landed or come yet
    warn: called once, when the first code is skipped
    evident: one code is evidence
    proven: enough codes are evidence
    warned: `warn` was called
    """

    dataset: str
    possible: bool
    warn: Callable[[str], None]
    evident: bool = False
    proven: bool = False
    warned: bool = False

    def is_evidence(self, days: int) -> bool:
        """Whether a code without a row, though it traded on `days` due days, is evidence."""
        return self.possible and days >= ENOUGH_DAYS

    def skip(self, key: str, days: int) -> Outcome:
        """The outcome of a code without a row on `days` due days."""
        return Outcome(key, skipped=NONE if days >= ENOUGH_DAYS else TOO_FEW)

    def settle(self, outcomes: Iterator[Outcome]) -> Iterator[Outcome]:
        """The outcomes in their order; the first wait until the evidence is clear."""
        held: list[Outcome] = []
        for outcome in outcomes:
            held.append(outcome)
            self.possible = self.possible and outcome.rows is None
            self.evident = self.evident or outcome.skipped == NONE
            empty = sum(o.skipped == NONE for o in held)
            self.proven = self.possible and (self.proven or empty >= ENOUGH_CODES)
            if self.proven or not self.possible:
                yield from map(self._give_reason, held)
                held = []
        yield from map(self._give_reason, held)

    def _give_reason(self, outcome: Outcome) -> Outcome:
        if outcome.skipped not in (NONE, TOO_FEW):
            return outcome
        if not (self.possible and self.evident):
            return replace(outcome, skipped=None, failure=THEIRS_ALONE)
        if not self.warned:
            self.warned = True
            self.warn(
                f"the service has no {self.dataset} of {outcome.key} and other codes on days that"
                " they traded; the remaining codes are skipped, and the next load asks again"
            )
        return replace(outcome, skipped=NOT_DUE)


def is_empty(answer: Sized | None, fault: Exception | None) -> bool:
    """Whether an answer or its error is evidence that no row exists."""
    return isinstance(fault, EmptyAnswer | NoRoute) or (answer is not None and not len(answer))
