"""The parse of the project, of which a run makes one, and dbt's commands on it."""

import contextvars
import dataclasses
import fcntl
import functools
import os
import pprint
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from loaders.settings import Settings
from loaders.sources import landed_tables
from loaders.warehouse.migrate import prepare
from loaders.warehouse.postgres import open_warehouse
from loaders.warehouse.profiles import write_profile
from orchestration.run.build import dbt_target
from orchestration.run.quick_dbt import quick_dbt
from quotemill.warehouse.postgres import Warehouse


@dataclass(frozen=True)
class Outcome:
    """What one dbt command did: `written` is rows by model, `statuses` one text per node."""

    success: bool
    error: str
    statuses: dict[str, str]
    written: dict[str, int]

    def refuses(self, *named: str) -> bool:
        """Whether it failed with an error that names each of these."""
        return not self.success and all(part in self.error for part in named)


class Dbt:
    """dbt's commands on a warehouse, as a person in dbt_project/ would give them."""

    def __init__(self, run: Callable[..., Outcome]) -> None:
        """By `run`, whose command may fail."""
        self.run = run

    def __call__(self, *args: str) -> Outcome:
        """What a command did, which must succeed."""
        outcome = self.run(*args)
        assert outcome.success, outcome.error
        return outcome

    def fails(self, *args: str) -> Outcome:
        """What a command did, which must fail."""
        outcome = self.run(*args)
        assert not outcome.success
        return outcome


class Parsed:
    """The project as dbt parsed it: to read it again is most of a small command's time.

    target: dbt's target folder for databases of the profile in it
    manifests: by target folder
    filled: the URLs of databases that steps of a mark `warehouse` filled, by these steps
    """

    PROJECT = Path(__file__).parent.parent / "dbt_project"  # or a copy
    DATABASE = "dbt"  # the name of those for which it is parsed

    def __init__(self, target: Path, own: Path) -> None:
        """Parse it with the profile in `target`: any warning or deprecation is an error.

        One worker of a run parses from nothing; the others, whose folders lie beside `own`, read
        what it wrote.
        """
        self.target = target
        self.manifests: dict[str, Any] = {}
        self.filled: dict[tuple[Any, ...], str] = {}
        if "PYTEST_XDIST_WORKER" not in os.environ:
            self._parse()
            return
        parsed = target / "partial_parse.msgpack"
        shared = own.parent / parsed.name
        with shared.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            is_first = not shared.exists()
            if is_first:
                self._parse()
                shutil.copyfile(parsed, shared)
        if not is_first:
            self._adopt(shared, target, target)
            self._parse()

    def _parse(self) -> None:
        from dbt.cli.main import dbtRunner

        folder = str(self.target)
        command = ["--warn-error", "parse", "--show-all-deprecations", "--quiet"]
        command += ["--project-dir", str(Parsed.PROJECT), "--profiles-dir", folder]
        parsed = dbtRunner().invoke([*command, "--target-path", folder, "--log-path", folder])
        assert parsed.success, parsed.exception
        self.manifests[folder] = parsed.result

    def give(self, settings: Settings) -> None:
        """Let the first command of a home find what was parsed; its warehouse is opened."""
        warehouse = open_warehouse(settings)
        target = dbt_target(settings, warehouse)
        write_profile(warehouse, target)
        self.adopt(target, target)

    def adopt(self, target: Path, profiles: Path) -> None:
        """Let dbt find what was parsed in another target folder, with the profile of a folder."""
        self._adopt(self.target / "partial_parse.msgpack", target, profiles)

    @staticmethod
    def _adopt(theirs: Path, target: Path, profiles: Path) -> None:
        """Copy what was parsed for another server, whose address dbt compares."""
        import msgpack
        from dbt.adapters.postgres.connections import PostgresCredentials
        from dbt.artifacts.resources import FileHash

        written = yaml.safe_load((profiles / "profiles.yml").read_text("utf-8"))
        output = PostgresCredentials.translate_aliases(written["quotemill"]["outputs"]["warehouse"])
        # neither is one of the connection's
        values = {name: value for name, value in output.items() if name not in ("type", "threads")}
        address = sorted(PostgresCredentials.from_dict(values).connection_info())
        saved = msgpack.unpackb(theirs.read_bytes())
        hashed = FileHash.from_contents(pprint.pformat(address)).to_dict()
        saved["state_check"]["profile_hash"] = hashed
        for node in chain(saved["nodes"].values(), saved["sources"].values()):
            node["database"] = output["database"]
            if name := node["relation_name"]:
                node["relation_name"] = name.replace(Parsed.DATABASE, output["database"], 1)
        target.mkdir(exist_ok=True)
        (target / "partial_parse.msgpack").write_bytes(msgpack.packb(saved))

    @property
    def manifest(self) -> Any:
        return self.manifests[str(self.target)]

    def without_tests(self, target: str) -> Any:
        """The manifest of a target folder without dbt's tests; None: it is not parsed yet.

        Also a command that runs none of them lists each several times, most of a small one's time.
        """
        bare = f"{target} without tests"
        if bare not in self.manifests and (whole := self.manifests.get(target)):
            models = {name: n for name, n in whole.nodes.items() if n.resource_type != "test"}
            self.manifests[bare] = dataclasses.replace(whole, nodes=models, unit_tests={})
            self.manifests[bare].build_flat_graph()
        return self.manifests.get(bare)

    def commands(self, warehouse: Warehouse, patch: pytest.MonkeyPatch) -> Dbt:
        """Let dbt work on a warehouse from now on, as a person in dbt_project/ would."""
        name, folder = warehouse.params()["dbname"], warehouse.home / "profiles"
        target = (
            self.target
            if name == self.DATABASE
            else self.target.with_name(f"{self.target.name}_{name}")
        )
        patch.setenv("DBT_PROFILES_DIR", str(folder))
        patch.setenv("DBT_LOG_PATH", str(warehouse.home / "dbt_logs"))
        patch.setenv("DBT_TARGET_PATH", str(target))
        write_profile(warehouse, folder)
        return Dbt(self._run)

    def _run(self, *args: str) -> Outcome:
        from dbt.cli.main import dbtRunner

        folder = os.environ["DBT_TARGET_PATH"]
        tests_none = (
            args[0] in ("compile", "run", "seed", "snapshot") or "resource_type:test" in args
        )
        manifest = self.without_tests(folder) if tests_none else self.manifests.get(folder)
        # formatting unseen output takes a tenth of a command's time, writing artifacts half of it,
        # and a list of all relations and what reads which a third
        quick = ["--quiet", "--log-level", "none", "--no-write-json", "--no-populate-cache"]
        command = [args[0], *quick, "--project-dir", str(Parsed.PROJECT), *args[1:]]
        with quick_dbt():  # as our own commands; plain dbt makes the same (e2e/test_pipeline.py)
            result = self.call_in_thread(dbtRunner(manifest).invoke, command)
        # an operation has a result without a node
        nodes = [n for n in getattr(result.result, "results", []) if hasattr(n, "node")]
        return Outcome(
            success=result.success,
            error=str(result.exception or "; ".join(n.message or "" for n in nodes)),
            statuses={n.node.name: str(n.status) for n in nodes},
            written={
                n.node.name: n.adapter_response["rows_affected"]
                for n in nodes
                if n.node.resource_type == "model" and "rows_affected" in n.adapter_response
            },
        )

    @staticmethod
    def call_in_thread(call: Callable[..., Any], *args: Any, **options: Any) -> Any:
        """Call in a thread of its own and return or raise what the call does.

        For each of its flags dbt finds the module of every frame of the stack, most of it pytest's.
        """
        with ThreadPoolExecutor(1) as thread:
            context = contextvars.copy_context()
            return thread.submit(context.run, functools.partial(call, *args, **options)).result()

    @staticmethod
    def prepared(dsn: str, home: Path, *, is_copy: bool = False) -> Warehouse:
        """A warehouse with empty landed tables and schema ops, as at the start of a load.

        A copy of one is prepared already.
        """
        made = Warehouse(dsn, "test", False, "market", None, "test", home)
        if not is_copy:
            prepare(made, landed_tables())
        return made

    @staticmethod
    def build_models(conn: psycopg.Connection, dbt: Dbt) -> None:
        """Build everything, over no row: a step that fills warehouses."""
        dbt("build", "--exclude", "resource_type:unit_test", "resource_type:test")


PROJECT = Parsed.PROJECT
