"""No room where fetched rows are kept: said in plain words, and nothing is lost by it."""

import resource
import subprocess
from collections.abc import Callable, Iterator

import pytest

from tests.faults.scene import BIN, Scene, assert_same, ended, wait_until
from tests.small_disk import file_system, fill

OpenScene = Callable[..., Scene]
STUCK = "hang:kline-all:after=7"
SLICED = {"QUOTEMILL_TDX__SLICE_SIZE": "3", "QUOTEMILL_TDX__BULK_TIMEOUT": "1"}


@pytest.fixture
def small_disk(open_scene: OpenScene) -> Iterator[Scene]:
    """A scene whose staging folder is a file system of 4 MB."""
    scene = open_scene(faults=[STUCK], **SLICED)
    with file_system(scene.home / "pipelines", "4m"):
        yield scene


@pytest.mark.parametrize("when", ["before the load", "in the middle of it"])
def test_a_full_staging_folder_is_named_and_the_next_load_is_complete(
    small_disk: Scene, open_scene: OpenScene, when: str
) -> None:
    scene = small_disk
    undisturbed = open_scene(**SLICED)
    assert undisturbed.run().code == 0
    if when == "before the load":
        filler = fill(scene.home / "pipelines")
        full = scene.run()
    else:
        process = scene.begin()
        wait_until("a request hangs", lambda: any(e.faults for e in list(scene.sandbox.log)))
        wait_until(
            "two packages have landed",
            lambda: scene.rows("select count(distinct code) >= 6 from raw_tdx.kline_daily")[0][0],
        )
        filler = fill(scene.home / "pipelines")
        scene.sandbox.faults.clear()
        full = ended(process)
        assert len(scene.rows("select distinct code from raw_tdx.kline_daily")) >= 6
    assert full.code == 1, full.said
    assert f"no room left for fetched rows in {scene.home}/pipelines" in full.said
    assert "free some space or move everything by QUOTEMILL_HOME" in full.said
    assert "Traceback" not in full.said
    scene.sandbox.faults.clear()

    filler.unlink()
    assert scene.run().code == 0
    assert_same(scene.facts(), undisturbed.facts())


def test_a_file_that_may_not_grow_is_the_same_to_the_user(open_scene: OpenScene) -> None:
    scene = open_scene()
    process = subprocess.Popen(
        [BIN / "loaders", "run", "tdx", "--as-of", scene.as_of],
        cwd=scene.home,
        env=scene.environ(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192)),
    )
    limited = ended(process)

    assert limited.code == 1, limited.said
    assert "no room left for fetched rows" in limited.said
    assert scene.run().code == 0
