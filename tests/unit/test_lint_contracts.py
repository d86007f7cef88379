"""The layers of import-linter hold every module, and break where an import goes the wrong way."""

import tomllib
from pathlib import Path
from typing import Any

import grimp
import pytest
from importlinter.contracts.layers import LayersContract

ROOTS = ("loaders", "orchestration", "quotemill")
PROJECT = Path(__file__).parents[2] / "pyproject.toml"


@pytest.fixture(scope="module")
def layers() -> dict[str, Any]:
    linter = tomllib.loads(PROJECT.read_text("utf-8"))["tool"]["importlinter"]
    # the other ones are of the rooms of one package
    layers = [c for c in linter["contracts"] if c["type"] == "layers" and "containers" not in c]
    [contract] = layers
    return contract


@pytest.fixture(scope="module")
def imports() -> grimp.ImportGraph:
    return grimp.build_graph(*ROOTS, exclude_type_checking_imports=True, cache_dir=None)


def test_every_package_is_in_a_layer(layers: dict[str, Any], imports: grimp.ImportGraph) -> None:
    named = {
        name.strip() for layer in layers["layers"] for name in layer.replace("|", ":").split(":")
    }
    # the last is a layer by itself
    modules = {child for root in ROOTS[:-1] for child in imports.find_children(root)}
    assert modules | {ROOTS[-1]} == named


@pytest.mark.parametrize(
    ("importer", "imported"),
    [
        ("loaders.ticks.questdb.store", "loaders.ib.settings"),
        ("loaders.landing.load_job", "loaders.sources"),
        ("loaders.engine.load", "loaders.tq.source"),
        ("loaders.warehouse.migrate", "loaders.landing.first_rows"),
        ("loaders.ib.planning.due", "loaders.tdx.tables"),
        ("loaders.sandbox.faults", "loaders.settings"),
        ("loaders.loads", "loaders.cli.shell"),
        ("orchestration.nightly", "orchestration.cli.run"),
    ],
)
def test_an_import_of_a_higher_layer_breaks_the_contract(
    layers: dict[str, Any], imports: grimp.ImportGraph, importer: str, imported: str
) -> None:
    session = {"root_packages": list(ROOTS)}
    contract = LayersContract(layers["name"], session, {"layers": layers["layers"]})
    imports.add_import(importer=importer, imported=imported)
    try:
        assert not contract.check(imports, verbose=False).kept
    finally:
        imports.remove_import(importer=importer, imported=imported)


@pytest.mark.parametrize("room", ["loaders.engine", "loaders.landing", "loaders.warehouse"])
def test_no_modules_of_a_room_import_each_other(room: str) -> None:
    # also not for their types
    imports = grimp.build_graph(*ROOTS, cache_dir=None)
    assert imports.nominate_cycle_breakers(room) == set()


def test_no_module_of_the_product_is_named_as_a_test(imports: grimp.ImportGraph) -> None:
    assert not [name for name in imports.modules if name.rpartition(".")[2].startswith("test_")]
