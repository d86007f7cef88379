"""Outside its folder only the registry and the settings name a source, but for features of one."""

import ast
from collections.abc import Iterator
from pathlib import Path

from loaders.settings.sections import SOURCES

ROOT = Path(__file__).parents[2]
# the registry and the settings; commands and checks about one source alone
NAMED_IN = {
    "loaders/settings": set(SOURCES),
    "loaders/cli/sandbox.py": {"tq"},  # the extra that its sandbox needs
    "loaders/cli/selftest.py": {"tdx"},
    "loaders/cli/verify.py": {"tdx", "tq"},
    "loaders/warehouse/disks.py": {"ib"},  # the folder of its archive
    "orchestration/checks/factors.py": {"tdx"},
    "orchestration/checks/reconcile.py": {"tdx"},
    "orchestration/checks/selfcheck.py": {"ib"},  # of option chains
    "orchestration/checks/storage.py": {"ib"},
    "orchestration/archive": {"ib", "tq"},
    "orchestration/cli/archive.py": {"ib"},
    "orchestration/cli/options": {"ib"},
    "orchestration/cli/questdb.py": {"tq"},  # whose ticks are copied
    "orchestration/cli/reconcile.py": {"tdx"},
    "orchestration/console/api/sandbox.py": {"tdx"},  # the service that its button starts
    "orchestration/console/pages/chains.py": {"ib"},
    "orchestration/console/pages/contracts.py": {"tq"},
    "orchestration/console/pages/futures.py": {"tq"},
    "orchestration/console/pages/prices.py": {"tdx"},
    "orchestration/demo.py": {"tdx"},
    "orchestration/nightly.py": {"ib"},  # its archive
    "quotemill/readers/klines.py": {"tdx"},  # the forms of its codes
}


def read_source_names(path: Path) -> Iterator[tuple[int, str]]:
    """Imports of a source, attributes and texts that are its name."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        name: object = None
        if isinstance(node, ast.ImportFrom):
            package, _, rest = (node.module or "").partition(".")
            name = rest.partition(".")[0] if package == "loaders" else None
        elif isinstance(node, ast.Attribute):
            name = node.attr
        elif isinstance(node, ast.Constant):
            name = node.value
        if isinstance(name, str) and name in SOURCES:
            yield getattr(node, "lineno", 0), name


def test_no_other_module_names_a_source() -> None:
    own = {"sandbox", *SOURCES}
    paths = [path for top in ("loaders", "orchestration") for path in (ROOT / top).rglob("*.py")]
    names_elsewhere = []
    for path in paths:
        place = path.relative_to(ROOT)
        if place.parts[1] in own:
            continue
        allowed = {
            name
            for known, names in NAMED_IN.items()
            for name in names
            if str(place) == known or Path(known) in place.parents
        }
        names_elsewhere += [
            f"{place}:{no}: {n}" for no, n in read_source_names(path) if n not in allowed
        ]
    assert names_elsewhere == []
