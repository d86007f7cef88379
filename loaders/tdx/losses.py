"""One rule for an answer that lacks what is stored of its key.

An answer is a list, a file or the reply of a server. If it lacks more than 5 % of what is stored,
it is refused whole: the stored rows stay, its key fails, and so it does in each load until somebody
who knows that the answer is right accepts the loss once, with --accept-loss. If it lacks less, it
is taken, with a warning. What moved or was corrected is not lacking: the numbers are compared.

One may go of however few, as vendors take single records back (1 of 103,857 records of gbbq, but 1
of 3 events of a code), and exchanges delist single codes. If nothing is left, it is always a loss.
"""

from typing import TYPE_CHECKING

from quotemill.errors import name_acceptance

if TYPE_CHECKING:
    from loaders.engine.load import Load

MOST_LOST = 0.05  # of what is stored; whole markets lose less in a week, cut files and lists more


def judge_loss(
    load: "Load",
    dataset: str,
    answer: str,
    *,
    lost: int,
    stored: int,
    things: str,
    example: str = "",
    advice: str = "",
    only_lacks: bool = False,
) -> str | None:
    """The failure of an answer that lacks too much; None, and a warning, if it is taken.

    things: what is counted, in the plural
    example: one of the lost
    advice: the rest of a sentence, what else to look at
    only_lacks: it brings nothing, as an older copy does: refused however little it lacks
    """
    if lost <= 0:
        return None
    loss = f"{answer} lacks {lost:,} of {stored:,} {things}"
    if example:
        loss += f", such as {example}"
    if not only_lacks and lost < stored and lost <= max(1, MOST_LOST * stored):
        load.warn(f"{dataset}: {loss}")
        return None
    return refuse_loss(load, dataset, loss, advice)


def refuse_loss(load: "Load", dataset: str, loss: str, advice: str = "") -> str | None:
    """The failure of a loss, with the way out; None, and a warning, if the request accepts it."""
    if load.accepts_loss(dataset, loss):
        return None
    return f"{loss}: what is stored stays{advice} ({name_acceptance('tdx', dataset)})"
