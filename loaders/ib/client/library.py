"""The gateway's client library: ib_async or, where that is not installed, ib_insync before it.

Only looked up here; ib_client.py alone imports it.
"""

import importlib.util

from loaders.ib.errors import IbMissing
from quotemill.installation import install_hint

LIBRARIES = ("ib_async", "ib_insync")


def check_client() -> None:
    """Raises IbMissing where neither client is installed."""
    if not any(importlib.util.find_spec(name) for name in LIBRARIES):
        raise IbMissing("the gateway's client ib_async is not installed", hint=install_hint("ib"))
