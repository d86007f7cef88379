"""dbt's profiles.yml: one below the home for our own commands, one where plain dbt looks."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from loaders.files import whole_file
from quotemill.errors import SettingsError
from quotemill.warehouse.postgres import Warehouse

_MARK = "# Written by quotemill whenever the warehouse changes; edits are lost."
THREADS = 4  # models that dbt builds side by side
# what dbt-postgres hands on to libpq
_PASSED_ON = ("sslmode", "sslrootcert", "sslcert", "sslkey", "connect_timeout", "keepalives_idle")


def write_profile(
    warehouse: Warehouse, folder: Path, session: Mapping[str, str] | None = None
) -> Path:
    """Write profile `quotemill`, target `warehouse`, into `folder`.

    session: the settings that plain dbt gives its sessions; our own commands do so without

    The file has mode 0600 and holds the password. It is replaced in one step, and only when
    something changed. A profiles.yml that we did not write is left alone: SettingsError.
    """
    path = folder / "profiles.yml"
    profile = yaml.safe_dump(_profile(warehouse, session), sort_keys=False, allow_unicode=True)
    text = f"{_MARK}\n{profile}"
    with whole_file.explain_unwritable(
        path, hint="Set DBT_PROFILES_DIR=<folder> to put it elsewhere."
    ):
        if path.exists():
            before = path.read_text("utf-8")
            if not is_ours(path):
                raise SettingsError(
                    f"{path} was not written by quotemill, so it is not changed",
                    hint="Set DBT_PROFILES_DIR to another folder, or move the file away.",
                )
            if before == text and path.stat().st_mode & 0o777 == 0o600:
                return path
        folder.mkdir(parents=True, exist_ok=True)
        whole_file.write(path, text)
    return path


def is_ours(path: Path) -> bool:
    """Did we write that profiles.yml?"""
    return path.read_text("utf-8").startswith(_MARK)


def _profile(warehouse: Warehouse, session: Mapping[str, str] | None) -> dict[str, Any]:
    params = warehouse.params()
    output: dict[str, Any] = {
        "type": "postgres",
        "host": _literal(params.get("host") or params.get("hostaddr") or "localhost"),
        "port": int(params.get("port", "5432")),
        "user": _literal(params.get("user", "postgres")),
        "password": _literal(params.get("password", "")),
        "dbname": _literal(params.get("dbname", "postgres")),
        "schema": warehouse.market_schema,
        "threads": THREADS,
    }
    for name in _PASSED_ON:
        if name in params:
            value = params[name]
            output[name] = int(value) if value.isdigit() else _literal(value)
    if session is not None:
        # the one setting that dbt hands on; libpq takes what a tab parts from it for the next one
        others = (f"{name}={value}" for name, value in session.items() if name != "search_path")
        output["search_path"] = "\t-c".join([session["search_path"], *others])
    return {"quotemill": {"target": "warehouse", "outputs": {"warehouse": output}}}


def _literal(value: str) -> str:
    """Keep dbt from reading a template in a value: it renders profiles.yml with Jinja."""
    if not any(mark in value for mark in ("{{", "{%", "{#")):
        return value
    return value.replace("{", "{{ '{' }}")
