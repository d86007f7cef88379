"""No room for fetched rows: the message says so, and nothing is lost."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.faults.scene import Scene, assert_same, ended
from tests.small_disk import file_system, fill

OpenScene = Callable[..., Scene]
STUCK = "hang:kline-all:after=7"
SLICED = {"QUOTEMILL_TDX__SLICE_SIZE": "3", "QUOTEMILL_TDX__TIMEOUT": "0.5"}


@pytest.fixture
def scene(open_scene: OpenScene) -> Iterator[Scene]:
    """A scene whose staging folder is a file system of 4 MB."""
    made = open_scene(faults=[STUCK], **SLICED)
    with file_system(made.home / "pipelines", "4m"):
        yield made


def test_a_full_staging_folder_is_named_and_the_next_load_is_complete(
    scene: Scene, undisturbed: dict[str, Any]
) -> None:
    process = scene.begin_stuck()
    filler = fill(scene.home / "pipelines")
    scene.sandbox.faults.clear()
    full = ended(process)
    assert len(scene.rows("select distinct code from raw_tdx.kline_daily")) >= 6
    assert full.code == 1, full.said
    assert re.search(f" room .* {scene.home}/pipelines", full.said)
    assert "QUOTEMILL_HOME" in full.said
    assert "Traceback" not in full.said

    filler.unlink()
    assert scene.run().code == 0
    assert_same(scene.facts(), undisturbed)
