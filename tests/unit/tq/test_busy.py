"""What a load does while another one holds its lane."""

import pytest

from loaders import sources
from loaders.engine.request import LoadRequest
from loaders.settings import Settings


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (LoadRequest("tq", mode="ticks"), "skip"),
        (LoadRequest("tq", mode="ticks", keys=("SHFE.cu",)), "fail"),
        (LoadRequest("tq", mode="mapping"), "fail"),
        (LoadRequest("tq", mode="live", keys=("SHFE.cu",)), "skip"),
    ],
)
def test_a_nightly_load_of_ticks_lets_a_backfill_go_on(
    request_: LoadRequest, expected: str
) -> None:
    assert sources.find("tq").requests.when_busy(Settings(), request_) == expected
