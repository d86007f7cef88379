"""dbt in the process of tests, without repeated work that no test checks."""

import ast
import fcntl
import functools
import hashlib
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orchestration.run.quick_dbt.connections import keep_connections
from orchestration.run.quick_dbt.contexts import make_macros_when_called
from orchestration.run.quick_dbt.events import skip_unheard_events
from orchestration.run.quick_dbt.results import share_testers
from orchestration.run.quick_dbt.templates import compile_templates_once
from orchestration.run.syntax_trees import parsed_alone


def spare_dbt(patch: pytest.MonkeyPatch) -> None:
    """Skip work of dbt's commands in this process that no test checks: half of their time."""
    from dbt.adapters.postgres.connections import PostgresCredentials
    from dbt_common.clients import agate_helper

    # what our own commands skip, plain dbt in a test skips too; what was compiled stays for all
    skip_unheard_events(patch.setattr)
    keep_connections(patch.setattr)
    compile_templates_once(patch.setattr)
    share_testers(patch.setattr)

    # plain dbt, in which a model of some thousand builds fails, has no such lock
    patch.setattr(ast, "parse", parsed_alone(ast.parse))

    # dbt stores one more flag with each command of a process, and walks the stack for each
    source = "dbt_common.behavior_flags.BehaviorFlagRendered._default_source"
    patch.setattr(source, lambda _: "dbt")

    # no model reads the server's address: a project parsed for one serves for another
    keys = ("database", "schema")
    patch.setattr(PostgresCredentials, "_connection_keys", lambda _: keys)

    # the result of each statement without rows
    patch.setattr(agate_helper, "empty_table", functools.cache(agate_helper.empty_table))


def spare_dbt_commands(patch: pytest.MonkeyPatch) -> None:
    """Skip more steps of each command: a quarter of its time. They import all of dbt."""
    from dbt.compilation import Linker
    from dbt.plugins.manager import PluginManager

    # the environment's modules, listed to find plugins
    modules = PluginManager.get_prefixed_modules()
    patch.setattr(PluginManager, "get_prefixed_modules", lambda: modules)

    # a file about the graph that no test reads
    patch.setattr(Linker, "get_graph_summary", lambda *_: {})
    make_macros_when_called(patch.setattr)
    _spare_contexts(patch)
    _spare_graphs(patch)
    _spare_relations(patch)


def _spare_contexts(patch: pytest.MonkeyPatch) -> None:
    """Give the contexts of a command's models and hooks the same flags, arguments and modules."""
    from dbt import flags
    from dbt.context import base, providers

    def once_a_command(ask: Callable[..., Any]) -> Callable[..., Any]:
        answer: tuple[Any, Any] = (None, None)

        def answered(*arguments: Any) -> Any:
            nonlocal answer
            command = flags.get_flags()
            if answer[0] is not command:
                answer = command, ask(*arguments)
            return answer[1]

        return answered

    patch.setattr(flags, "get_flag_obj", once_a_command(flags.get_flag_obj))
    patch.setattr(providers, "args_to_dict", once_a_command(providers.args_to_dict))
    patch.setattr(base, "get_context_modules", functools.cache(base.get_context_modules))
    patch.setattr(providers, "wrapped_exports", _Exceptions)


class _Exceptions(dict[str, Any]):
    """What `exceptions` has in the SQL of a model, each made when it is asked for."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self._model = model

    def __missing__(self, name: str) -> Any:
        from dbt.context.exceptions_jinja import CONTEXT_EXPORTS, wrapper

        self[name] = wrapper(self._model)(CONTEXT_EXPORTS[name])
        return self[name]


def _spare_graphs(patch: pytest.MonkeyPatch) -> None:
    """Link a parsed project once, and ask once what a selection selects of it."""
    from dbt.compilation import Compiler
    from dbt.graph.selector import NodeSelector

    link, select = Compiler.compile, NodeSelector.get_nodes_from_criteria

    def link_once(compiler: Any, manifest: Any, write: bool = True, **options: Any) -> Any:
        graphs = vars(manifest).setdefault("linked_graphs", {})
        key = tuple(sorted(options.items()))
        if key not in graphs:
            graphs[key] = link(compiler, manifest, write, **options)
        return graphs[key]

    def select_once(selector: Any, criteria: Any) -> Any:
        if selector.previous_state is not None:
            return select(selector, criteria)
        selections = vars(selector.full_graph).setdefault("selections", {})
        types = sorted(getattr(selector, "resource_types", ()))
        key = type(selector), tuple(types), selector.include_empty_nodes, repr(criteria)
        if key not in selections:
            selections[key] = select(selector, criteria)
        return tuple(set(nodes) for nodes in selections[key])

    patch.setattr(Compiler, "compile", link_once)
    patch.setattr(NodeSelector, "get_nodes_from_criteria", select_once)


def _spare_relations(patch: pytest.MonkeyPatch) -> None:
    """Make the relations that each command lists of a project and database once."""
    from dbt.adapters.base.impl import BaseAdapter
    from dbt.adapters.postgres.relation import PostgresRelation

    list_schemas, create = BaseAdapter._get_cache_schemas, PostgresRelation.create.__func__
    created = dict[Any, Any]()
    set_generator = BaseAdapter.set_macro_context_generator

    def schemas_once(adapter: Any, nodes: Any) -> Any:
        """Of the nodes of a schema one is asked, not each."""
        schemas = {(node.database, node.schema, str(node.quoting_dict)): node for node in nodes}
        return list_schemas(adapter, schemas.values())

    def create_once(kind: Any, *parts: Any, **options: Any) -> Any:
        if parts or options.keys() != {"database", "schema", "identifier"}:
            return create(kind, *parts, **options)
        key = kind, *options.items()
        if key not in created:
            created[key] = create(kind, **options)
        return created[key]

    def set_sparing(adapter: Any, generate: Callable[..., Any]) -> None:
        """Let macros that the adapter runs, such as for a relation's columns, share a context."""
        contexts = dict[Any, Any]()

        def generate_once(macro: Any, config: Any, manifest: Any, package: Any) -> Any:
            key = threading.get_ident(), macro.package_name, package, id(config), id(manifest)
            if key not in contexts:
                contexts[key] = generate(macro, config, manifest, package)
            return dict(contexts[key])

        set_generator(adapter, generate_once)

    patch.setattr(BaseAdapter, "set_macro_context_generator", set_sparing)
    patch.setattr(BaseAdapter, "_get_cache_schemas", schemas_once)
    patch.setattr(PostgresRelation, "create", classmethod(create_once))


def parse_once(parse: Callable[[], Any], parsed: Path, own: Path) -> Any:
    """Parse from nothing in one worker of a run; the others read what it wrote to `parsed`."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return parse()
    shared = own.parent / parsed.name
    with shared.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not shared.exists():
            result = parse()
            if result.success:
                shutil.copyfile(parsed, shared)
            return result
    shutil.copyfile(shared, parsed)
    return parse()


def share_parses(patch: pytest.MonkeyPatch, folder: Path) -> None:
    """Let a new home start from what another home's command parsed: five seconds for each.

    dbt itself compares versions, variables, the profile and each file with what was parsed.
    """
    from dbt.constants import PARTIAL_PARSE_FILE_NAME
    from dbt.parser.manifest import ManifestLoader

    read, write = (
        ManifestLoader.read_manifest_for_partial_parse,
        ManifestLoader.write_manifest_for_partial_parse,
    )

    def files(loader: Any) -> tuple[Path, Path]:
        project = loader.root_project
        key = f"{project.project_root} {project.credentials.database} {project.credentials.schema}"
        own = Path(project.project_target_path) / PARTIAL_PARSE_FILE_NAME
        return own, folder / f"{hashlib.sha256(key.encode()).hexdigest()}.msgpack"

    def read_shared(loader: Any) -> Any:
        own, shared = files(loader)
        if shared.exists() and not own.exists():
            own.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(shared, own)
        return read(loader)

    def write_shared(loader: Any) -> None:
        write(loader)
        own, shared = files(loader)
        if not shared.exists():
            mine = shared.with_suffix(f".{os.getpid()}")
            shutil.copyfile(own, mine)
            mine.rename(shared)

    patch.setattr(ManifestLoader, "read_manifest_for_partial_parse", read_shared)
    patch.setattr(ManifestLoader, "write_manifest_for_partial_parse", write_shared)
