"""One rule for an answer that lacks what is stored of its key.

An answer is a list, a file or the reply of a server. If it lacks more than 5 % of what is stored,
it is refused whole: the stored rows stay, its key fails, and so it does in each load until an
answer has them again, or somebody who knows that the answer is right accepts the loss, with
--accept-loss. If it lacks less, it is taken, with a warning. Lost events that change prices have a
rule of their own then (loaders.tdx.lost_events).

One may go of however few, as vendors take single records back (1 of 103,857 records of gbbq, but 1
of 3 events of a code), and exchanges delist single codes. If nothing is left, it is always a loss.
"""

from typing import TYPE_CHECKING, NamedTuple

from quotemill.errors import name_acceptance

if TYPE_CHECKING:
    from loaders.engine.load import Load

MOST_LOST = 0.05  # of what is stored; whole markets lose less in a week, cut files and lists more


class Loss(NamedTuple):
    """What an answer, or a part of it, lacks.

    things: what is counted, in the plural
    example: one of the lost
    is_older: the answer is an older copy: refused however little it lacks
    """

    answer: str
    lost: int
    stored: int
    things: str
    example: str = ""
    is_older: bool = False

    def __str__(self) -> str:
        example = f", such as {self.example}" if self.example else ""
        return f"{self.answer} lacks {self.lost:,} of {self.stored:,} {self.things}{example}"

    @property
    def is_too_much(self) -> bool:
        """Whether the answer is refused."""
        few = self.lost < self.stored and self.lost <= max(1, MOST_LOST * self.stored)
        return self.lost > 0 and (self.is_older or not few)


def judge_loss(load: "Load", dataset: str, *losses: Loss, advice: str = "") -> str | None:
    """The failure of an answer of which a part lacks too much; None, and warnings, if it is taken.

    advice: the rest of a sentence, what else to look at
    """
    refusals = [
        refuse_loss(load, dataset, str(loss), advice) for loss in losses if loss.is_too_much
    ]
    if any(refusals):
        return "; ".join(filter(None, refusals))
    for loss in losses:
        if loss.lost > 0 and not loss.is_too_much:
            load.warn(f"{dataset}: {loss}")
    return None


def refuse_loss(load: "Load", dataset: str, loss: str, advice: str = "") -> str | None:
    """The failure of a loss, with the way out; None, and a warning, if the request accepts it."""
    if load.accepts_loss(dataset, loss):
        return None
    return f"{loss}. Stored rows are kept{advice} ({name_acceptance('tdx', dataset)})"
