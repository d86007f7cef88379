"""The contract about sources breaks where an import goes the wrong way."""

import grimp
import pytest

from tests.lint_contracts import SourcesContract


@pytest.fixture(scope="module")
def imports() -> grimp.ImportGraph:
    return grimp.build_graph(
        "loaders", "orchestration", exclude_type_checking_imports=True, cache_dir=None
    )


@pytest.mark.parametrize(
    ("importer", "imported"),
    [
        ("loaders.ticks.questdb.store", "loaders.ib.settings"),
        ("loaders.ticks.questdb.store", "loaders.sources"),
        ("loaders.landing.load_job", "loaders.sources"),
        ("loaders.engine.load", "loaders.tq.source"),
        ("loaders.ib.planning.plan", "loaders.tdx.tables"),
    ],
)
def test_an_import_the_wrong_way_is_named(
    imports: grimp.ImportGraph, importer: str, imported: str
) -> None:
    contract = SourcesContract("sources", session_options={}, contract_options={})
    assert contract.check(imports, verbose=False).kept
    imports.add_import(importer=importer, imported=imported)
    try:
        assert contract.check(imports, verbose=False).metadata == {
            "wrong": [f"{importer} imports {imported}"]
        }
    finally:
        imports.remove_import(importer=importer, imported=imported)
