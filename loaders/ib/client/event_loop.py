"""The end of connections, and of the tasks of a thread, on the event loop."""

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from loaders.ib.client.ib_client import Connection


async def close_connection(connection: "Connection") -> None:
    connection.close()


async def cancel_tasks() -> None:
    """Cancel the tasks of a caller that was interrupted."""
    others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
