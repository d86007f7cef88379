"""What forks that load have imported: see `tests.forks`."""

import contextlib
import importlib
import pkgutil

import loaders

# what libraries import when they are first used
LATER = (
    "anyio._backends._asyncio",
    "dlt.common.libs.pyarrow",
    "dlt.sources.helpers.requests",
    "httpcore",
    "httpx",
    "pandas_market_calendars",
)
ours = [module.name for module in pkgutil.walk_packages(loaders.__path__, "loaders.")]
# IB's client makes an event loop when it is imported
left_out = {"loaders.ib.client.ib_client"} | {name for name in ours if name.endswith("__main__")}
for name in [*sorted({*ours} - left_out), *LATER]:
    with contextlib.suppress(ModuleNotFoundError):  # of an extra that is not installed
        importlib.import_module(name)
