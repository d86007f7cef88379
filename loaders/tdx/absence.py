"""Whether the service has a dataset at all: a replay of day files has neither minutes nor ticks.

Emptiness is no evidence of no data, but of a dataset of which nothing has ever landed, several codes
without a row on days that they traded are: they and the codes after them are skipped, which is said
once, and the next load asks again. Once a single code has rows, a code without any is a failure.
"""

from collections.abc import Awaitable, Callable, Iterator, Sized
from dataclasses import dataclass, replace

from loaders.engine.outcome import NOT_DUE, Outcome
from loaders.tdx.context import answer_or_fault
from loaders.tdx.service.answers import NoRoute

ENOUGH_CODES = 3  # or all that are asked for
ENOUGH_DAYS = 2  # one day of one code can be missing for many reasons
NONE = "no row on any due day"
THEIRS_ALONE = "no route has any of its due days, though other codes have theirs"


@dataclass
class Absence:
    """What a load knows of it. `possible` while nothing of the dataset has landed or come. `warn`
    says it, once."""

    dataset: str
    possible: bool
    warn: Callable[[str], None]
    proven: bool = False
    said: bool = False

    async def tells(self, days: int, nothing: Callable[[], Awaitable[bool]]) -> bool:
        """Is a code with `days` due days to be left alone? `nothing` asks whether it has no row."""
        return self.possible and days >= ENOUGH_DAYS and (self.proven or await nothing())

    def of(self, key: str) -> Outcome:
        return Outcome(key, skipped=NONE)

    def judged(self, outcomes: Iterator[Outcome]) -> Iterator[Outcome]:
        """The outcomes in their order; the first are held back until they tell."""
        held: list[Outcome] = []
        for outcome in outcomes:
            held.append(outcome)
            self.possible = self.possible and outcome.rows is None
            empty = sum(o.skipped == NONE for o in held)
            self.proven = self.possible and (self.proven or empty >= ENOUGH_CODES)
            if self.proven or not self.possible:
                yield from map(self._judged, held)
                held = []
        yield from map(self._judged, held)

    def _judged(self, outcome: Outcome) -> Outcome:
        if outcome.skipped != NONE:
            return outcome
        if not self.possible:
            return replace(outcome, skipped=None, failure=THEIRS_ALONE)
        if not self.said:
            self.said = True
            self.warn(
                f"the service has no {self.dataset} of {outcome.key} and others, on days that they"
                " traded: the rest is skipped, and the next load asks again"
            )
        return replace(outcome, skipped=NOT_DUE)


async def is_empty(request: Awaitable[Sized]) -> bool:
    """Did a request succeed without a row, or is there no such route? A fault tells nothing."""
    found, fault = await answer_or_fault(request)
    return isinstance(fault, NoRoute) or (found is not None and not len(found))
