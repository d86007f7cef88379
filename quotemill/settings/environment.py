"""Settings of environment variables and .env, by their dotted names.

Users of the TDX service have TDX_API_BASE and DB_HOST, DB_PORT, DB_NAME, DB_USER, DB_PASSWORD,
DB_SCHEMA, DB_SSLMODE set already, those of an IB gateway IB_HOST and others; these count where the
QUOTEMILL_ form is absent.
"""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from dotenv import dotenv_values

from quotemill.errors import SettingsError
from quotemill.foreign import SETTINGS_FILE, read_text, reading

PREFIX = "QUOTEMILL_"
# not settings: the place of the settings file, the run and the scheduled job that a command is part
# of, where it leaves its exit code, the holder of the build's lock, the folder of seeds that it
# reads, the test suite
OTHER_VARIABLES = {
    "QUOTEMILL_CONFIG",
    "QUOTEMILL_RUN_ID",
    "QUOTEMILL_SCHEDULE",
    "QUOTEMILL_EXIT_FILE",
    "QUOTEMILL_BUILD_LOCK_HELD",
    "QUOTEMILL_REQUIRE",
    "QUOTEMILL_TEST_TSL_URL",
}
# settings by the variables under which other tools know them
FOREIGN = {
    "TDX_API_BASE": "tdx.base_url",
    "IB_HOST": "ib.host",
    "IB_PORT": "ib.port",
    "IB_CLIENT_ID": "ib.client_id",
    "IB_MARKET_DATA_TYPE": "ib.market_data_type",
}
# by section: the field without which these variables are other tools'
_NEEDED = {"ib": "host"}


def read_variables(env: Mapping[str, str], place: str) -> dict[str, tuple[Any, str]]:
    """Values by dotted name, each with the variable it came from."""
    values = {
        name.removeprefix(PREFIX).lower().replace("__", "."): (value, f"{place} {name}")
        for name, value in env.items()
        if name.startswith(PREFIX) and name not in OTHER_VARIABLES and value != ""
    }
    for variable, dotted in FOREIGN.items():
        if env.get(variable):
            values.setdefault(dotted, (env[variable], f"{place} {variable}"))
    if env.get("DB_SCHEMA"):
        values.setdefault("market_schema", (env["DB_SCHEMA"], f"{place} DB_SCHEMA"))
    if env.get("DB_HOST"):
        values.setdefault("warehouse_url", (build_database_url(env), f"{place} DB_HOST"))
    return values


def drop_foreign_values(merged: dict[str, Any], origins: dict[str, str]) -> None:
    """Drop values of other tools' variables from sections that these are not meant for."""
    for variable, dotted in FOREIGN.items():
        section, _, name = dotted.partition(".")
        values, needed = merged.get(section), _NEEDED.get(section)
        if needed is None or not isinstance(values, dict) or values.get(needed):
            continue
        if origins.get(dotted, "").endswith(f" {variable}"):
            del values[name], origins[dotted]


def read_dotenv(path: Path) -> dict[str, str]:
    """The variables of a .env file; none where it does not exist."""
    with reading(path, SettingsError):
        text = read_text(path, SETTINGS_FILE, SettingsError)
        return {k: v for k, v in dotenv_values(stream=io.StringIO(text)).items() if v is not None}


def build_database_url(env: Mapping[str, str]) -> str:
    """The address that the variables DB_HOST, DB_PORT and so on name together."""
    user = quote(env.get("DB_USER") or "postgres", safe="")
    password = f":{quote(env['DB_PASSWORD'], safe='')}" if env.get("DB_PASSWORD") else ""
    host, port = env["DB_HOST"], env.get("DB_PORT") or "5432"
    database = quote(env.get("DB_NAME") or "postgres", safe="")
    query = f"?sslmode={env['DB_SSLMODE']}" if env.get("DB_SSLMODE") else ""
    if host.startswith("/"):  # a socket directory has no place in a URL's authority
        query = f"{query or '?'}{'&' if query else ''}host={quote(host, safe='')}"
        host = ""
    return f"postgresql://{user}{password}@{host}:{port}/{database}{query}"
