"""One home for two warehouses: manifests and run folders of both live side by side."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from loaders.engine.progress import Silent
from loaders.engine.request import LoadRequest
from loaders.engine.source import Insight
from loaders.loads import prepare_warehouse
from loaders.settings import Settings, load_settings
from loaders.tq.source import load_folder
from orchestration.run import manifest
from quotemill.warehouse.postgres import Warehouse

Place = tuple[Settings, Warehouse]


@pytest.fixture
def places(new_database: Callable[..., str], tmp_path: Path) -> list[Place]:
    result = []
    for _ in range(2):
        environ = {"QUOTEMILL_HOME": str(tmp_path), "QUOTEMILL_WAREHOUSE_URL": new_database()}
        settings = load_settings(environ, cwd=tmp_path)
        result.append((settings, prepare_warehouse(settings, Silent())))
    return result


@pytest.fixture
def one_source(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each warehouse tells its own name of itself."""
    insight = Insight(facts=lambda settings, warehouse, previous: {"url": warehouse.label})
    source = SimpleNamespace(insight=insight)
    registry = SimpleNamespace(configured=lambda _: (["one"], []), find=lambda _: source)
    monkeypatch.setattr(manifest, "sources", registry)


def previous(path: Path | None) -> Any:
    assert path is not None
    previous = json.loads(path.read_text("utf-8"))["previous"]
    return previous and previous["file"]


@pytest.mark.usefixtures("one_source")
def test_builds_of_the_same_number_have_separate_manifests(
    places: list[Place],
) -> None:
    first, other = places
    names = [manifest.write(*place, build_id) for build_id in (1, 7) for place in places]
    assert len(set(names)) == 4
    assert [previous(path) for path in names] == [None] * 2 + ["build-00000001.json"] * 2
    for place in places:
        path = manifest.locate(*place, Path("build-00000007.json"))
        assert path in names
        assert {c.verdict for c in manifest.check(*place, path)} == {"ok"}
    assert manifest.locate(*first, Path("build-00000007.json")) != manifest.locate(
        *other, Path("build-00000007.json")
    )


@pytest.mark.usefixtures("one_source")
def test_the_previous_manifest_is_of_an_earlier_build(places: list[Place]) -> None:
    first, _ = places
    for build_id in (99_999_999, 100_000_001, 5):
        manifest.write(*first, build_id)
    (manifest.manifest_folder(*first) / "build-copy.json").write_text("{}")
    assert previous(manifest.write(*first, 100_000_002)) == "build-100000001.json"
    assert previous(manifest.write(*first, 6)) == "build-00000005.json"


def test_tables_built_without_a_record_are_shown_last(
    places: list[Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, other = places
    built = {"rows": 1, "made_with": "one"}
    insight = Insight(facts=lambda *_: dict(built) if built["rows"] else None)
    source = SimpleNamespace(insight=insight)
    registry = SimpleNamespace(configured=lambda _: (["one"], []), find=lambda _: source)
    monkeypatch.setattr(manifest, "sources", registry)
    assert manifest.write(*first, 1) == manifest.write_now(*first, 1), "it says the same"
    for rows, build_id, name in ((2, 1, "1-1"), (3, 1, "1-2"), (4, 2, "2"), (5, 2, "2-1")):
        before = manifest.newest(*first)
        built |= {"rows": rows, "made_with": "another"}
        path = manifest.write_now(*first, build_id)
        assert path is not None
        assert path == manifest.newest(*first) == manifest.write_now(*first, build_id)
        assert path.stem == f"build-{int(name[0]):08d}{name[1:]}"
        assert previous(path) == before.name
        assert {c.verdict for c in manifest.check(*first, path)} == {"ok"}
    assert path is not None
    assert previous(manifest.write(*first, 3)) == path.name
    initial = manifest.write_now(*other, 0)
    assert initial is not None
    assert (initial.name, previous(initial)) == ("build-00000000-1.json", None)
    built["rows"] = 0
    assert manifest.write_now(*other, 0) is None


def test_loads_into_two_warehouses_have_separate_folders(places: list[Place]) -> None:
    request = LoadRequest("tq", mode="mapping")
    folders = {
        load_folder(cast("Any", SimpleNamespace(settings=s, warehouse=w, request=request)))
        for s, w in places
    }
    assert len(folders) == 2
    assert {folder.name for folder in folders} == {"tq"}
