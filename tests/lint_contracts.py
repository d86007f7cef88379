"""Who may import a source: told by the registry, so that a new source needs no line here."""

from typing import Any

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, output

from loaders.sources import MODULES

REGISTRY = "loaders.sources"
# commands of one source only are thin shells
COMMANDS = ("loaders.cli", "orchestration")


class SourcesContract(Contract):  # type: ignore[misc]
    """Sources do not import each other; what is below them imports none, nor the list of them."""

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        wrong = []
        readers = {"loaders.engine", *graph.find_descendants("loaders.engine")}
        for registered in MODULES.values():
            source = registered.rpartition(".")[0]
            inside = {source, *graph.find_descendants(source)}
            readers |= inside
            for module in inside:
                for importer in graph.find_modules_that_directly_import(module):
                    allowed = importer in inside or importer.startswith(COMMANDS)
                    if not allowed:
                        wrong.append(f"{importer} imports {module}")
        for importer in graph.find_modules_that_directly_import(REGISTRY):
            if importer not in readers and not importer.startswith(COMMANDS):
                wrong.append(f"{importer} imports {REGISTRY}")
        return ContractCheck(kept=not wrong, metadata={"wrong": sorted(wrong)})

    def render_broken_contract(self, check: Any) -> None:
        for line in check.metadata["wrong"]:
            output.print_error(line)
