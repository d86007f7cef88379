"""The parse of the project, of which a run makes one."""

import contextvars
import fcntl
import functools
import os
import pprint
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import yaml

PROJECT = Path(__file__).parent.parent / "dbt_project"
LAYERS = ("staging", "core", "intermediate", "marts", "qa")


def leave_out_foreign_models() -> None:
    """Let dbt parse the project of this checkout without folders that somebody added to models/.

    Their models are no concern of the tests, and may read what no test has.
    """
    import pathspec
    from dbt.parser import read_files

    foreign = ["models/*/", *(f"!models/{layer}/" for layer in LAYERS)]
    read = read_files.generate_dbt_ignore_spec

    def ignored(root: str) -> Any:
        if Path(root) != PROJECT:
            return read(root)
        return pathspec.PathSpec.from_lines("gitwildmatch", foreign)

    read_files.generate_dbt_ignore_spec = ignored


def call_in_thread(call: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """Call in a thread of its own and return or raise what the call does.

    For each of its flags dbt finds the module of every frame of the stack, most of it pytest's.
    """
    with ThreadPoolExecutor(1) as thread:
        context = contextvars.copy_context()
        return thread.submit(context.run, functools.partial(call, *args, **options)).result()


def parse_project(folder: Path) -> Any:
    """Parse the project with the profile in `folder`; any warning or deprecation is an error."""
    from dbt.cli.main import dbtRunner

    command = ["--warn-error", "parse", "--show-all-deprecations", "--quiet"]
    command += ["--project-dir", str(PROJECT), "--profiles-dir", str(folder)]
    return dbtRunner().invoke([*command, "--target-path", str(folder), "--log-path", str(folder)])


def parse_once(folder: Path, own: Path) -> Any:
    """Parse from nothing in one worker of a run; the others read what it wrote."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return parse_project(folder)
    parsed = folder / "partial_parse.msgpack"
    shared = own.parent / parsed.name
    with shared.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not shared.exists():
            result = parse_project(folder)
            if result.success:
                shutil.copyfile(parsed, shared)
            return result
    adopt_parse(shared, parsed)
    return parse_project(folder)


def adopt_parse(theirs: Path, ours: Path) -> None:
    """Copy what another worker parsed; dbt compares the address, which is that of our server."""
    import msgpack
    from dbt.adapters.postgres.connections import PostgresCredentials
    from dbt.artifacts.resources import FileHash

    written = yaml.safe_load(ours.with_name("profiles.yml").read_text("utf-8"))
    output = PostgresCredentials.translate_aliases(written["quotemill"]["outputs"]["warehouse"])
    # neither is one of the connection's
    values = {name: value for name, value in output.items() if name not in ("type", "threads")}
    address = sorted(PostgresCredentials.from_dict(values).connection_info())
    saved = msgpack.unpackb(theirs.read_bytes())
    saved["state_check"]["profile_hash"] = FileHash.from_contents(pprint.pformat(address)).to_dict()
    ours.write_bytes(msgpack.packb(saved))
