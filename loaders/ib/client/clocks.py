"""The gateway's clock beside this machine's, by which slots start."""

from datetime import timedelta
from typing import TYPE_CHECKING

from loaders.ib.client.values import Clock
from loaders.ib.errors import GatewayGone

if TYPE_CHECKING:
    from loaders.ib.client.ib_client import Connection

MOST_DIFFERENCE = timedelta(seconds=5)  # before slots are wrong


async def compare_clocks(connection: "Connection", here: Clock, timeout: float) -> str | None:
    """Describe a wrong clock of the gateway; None where it is right, or not known."""
    try:
        difference = await connection.server_time(timeout) - here()
    except GatewayGone:  # the next request says so
        return None
    if abs(difference) <= MOST_DIFFERENCE:
        return None
    return (
        f"the gateway's clock differs by {difference.total_seconds():+.0f} s from this "
        "machine's, which slots follow: synchronize both clocks with NTP"
    )
