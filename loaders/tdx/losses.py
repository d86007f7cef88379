"""One rule for an answer or a file that lacks what is stored.

What lacks more than 5 % of it is refused whole, and what is stored stays. Somebody who knows that
the rest is right accepts the loss once, with --accept-loss.
"""

from typing import TYPE_CHECKING

from quotemill.errors import name_acceptance

if TYPE_CHECKING:
    from loaders.engine.load import Load

MOST_LOST = 0.05  # of what is stored


def is_gross(lost: int, stored: int, *, few: int = 0) -> bool:
    """Whether too much is lost; `few` may be lost of however little is stored."""
    return lost > max(few, MOST_LOST * stored)


def refuse_loss(load: "Load", dataset: str, loss: str, advice: str = "") -> str | None:
    """The failure of a loss, with the way out; None, and a warning, if the request accepts it."""
    if load.accepts_loss(dataset, loss):
        return None
    return f"{loss}: what is stored stays{advice} ({name_acceptance('tdx', dataset)})"
