"""What forks have imported: see `tests.forks`."""

import contextlib
import sys

import pytest

from loaders.tq.client.program import __main__ as client
from tests.spare_dlt import spare_dlt

spare_dlt(pytest.MonkeyPatch())
with contextlib.suppress(ImportError):
    client.prepare()
    import tqsdk  # noqa: F401

# what the client needs stays; it itself reads its home when it is imported
for name in [name for name in sys.modules if name.partition(".")[0] == "tqsdk"]:
    del sys.modules[name]
