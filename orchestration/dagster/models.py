"""The models of dbt as Dagster's assets want them: keys, what they read, groups, descriptions.

Each process of Dagster needs them. dbt's manifest takes a second to read and dagster-dbt another to
import, so what they say is in a small file below the home, one for each state of the project.
"""

import json
from dataclasses import asdict, dataclass
from typing import Any

from loaders.files import whole_file
from loaders.settings import Settings
from loaders.warehouse.postgres import open_warehouse
from orchestration.run import build as builds
from orchestration.run.build_record import fingerprint_project
from quotemill.errors import QuotemillError

_BUILT = ("model", "seed", "snapshot")
_FINDINGS = "findings"  # the model that reads every model of findings


@dataclass(frozen=True)
class Model:
    """A model, seed or snapshot.

    key: schema and table
    reads: keys of the models and the landed tables that it reads
    finds: whether its rows are findings
    """

    name: str
    key: tuple[str, ...]
    reads: tuple[tuple[str, ...], ...]
    group: str
    description: str
    finds: bool


def read_models(settings: Settings) -> list[Model]:
    """The models of our project; dbt parses it where it has changed. Starts no server.

    Raises QuotemillError where dbt cannot parse it.
    """
    warehouse = open_warehouse(settings, start=False)
    path = settings.home / "dagster" / f"models-{fingerprint_project(settings, warehouse)}.json"
    if not path.exists():
        parsed = builds.invoke(settings, warehouse, ["parse"], quiet=True)
        if not parsed.success:
            raise QuotemillError("dbt cannot parse its project", hint="Run `quotemill dbt parse`.")
        models = [asdict(model) for model in list_models(parsed.result)]
        path.parent.mkdir(parents=True, exist_ok=True)
        whole_file.write(path, json.dumps(models))
    return [
        Model(**model | {name: _as_tuple(model[name]) for name in ("key", "reads")})
        for model in json.loads(path.read_bytes())
    ]


def _domain(fqn: list[str]) -> str:
    """The folder of a model, or the one that has it as a step."""
    return next(part for part in reversed(fqn[:-1]) if part != "steps")


def list_models(manifest: Any) -> list[Model]:
    """The models, seeds and snapshots of dbt's manifest."""
    nodes = {k: n for k, n in manifest.nodes.items() if n.resource_type in _BUILT}
    keys = {name: (node.schema, node.alias) for name, node in nodes.items()}
    keys |= {
        name: (source.schema, source.identifier)
        for name, source in manifest.sources.items()
        if source.schema.startswith("raw_")
    }
    findings = next(node for node in nodes.values() if node.name == _FINDINGS)
    return [
        Model(
            name=node.name,
            key=keys[name],
            reads=tuple(keys[read] for read in _reads(node) if read in keys),
            group=_domain(node.fqn) if node.resource_type == "model" else "seeds",
            description=node.description,
            finds=name in _reads(findings),
        )
        for name, node in nodes.items()
    ]


def _reads(node: Any) -> list[str]:
    return list(dict.fromkeys(node.depends_on_nodes))


def _as_tuple(value: Any) -> Any:
    return tuple(map(_as_tuple, value)) if isinstance(value, list) else value
