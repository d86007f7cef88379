"""Settings: the one place that reads the environment and files.

Precedence: flag > environment > .env > quotemill.toml > default. The settings file is
`quotemill.toml` in the working directory, or the file that QUOTEMILL_CONFIG names.
Users of the TDX service have TDX_API_BASE and DB_HOST, DB_PORT, DB_NAME, DB_USER, DB_PASSWORD,
DB_SCHEMA, DB_SSLMODE set already, those of an IB gateway IB_HOST, IB_PORT, IB_CLIENT_ID and
IB_MARKET_DATA_TYPE; they are understood where the QUOTEMILL_ form is absent.
"""

import contextlib
import difflib
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

from dotenv import dotenv_values
from platformdirs import user_data_dir
from pydantic import BaseModel, Field, SecretStr, ValidationError, field_validator
from pydantic_core import ErrorDetails

from loaders.alert_settings import AlertSettings
from loaders.errors import SettingsError
from loaders.ib.settings import IbSettings
from loaders.schedule_settings import JobSettings
from loaders.section import Section
from loaders.tdx.settings import TdxSettings
from loaders.ticks.settings import QuestdbSettings
from loaders.tq.settings import TqSettings
from loaders.warehouse.embedded.settings import ServerSettings

PREFIX = "QUOTEMILL_"
# read by others under the same prefix: the settings file's own place, the run and the scheduled job that a command
# is part of, the build's lock holder, the test suite
FOREIGN = {
    "QUOTEMILL_CONFIG",
    "QUOTEMILL_RUN_ID",
    "QUOTEMILL_SCHEDULE",
    "QUOTEMILL_BUILD_LOCK_HELD",
    "QUOTEMILL_REQUIRE",
    "QUOTEMILL_TEST_TSL_URL",
}


class Settings(Section):
    """Everything the project can be told. `origins` says where each value came from."""

    home: Path = Field(
        default_factory=lambda: Path(user_data_dir("quotemill", appauthor=False)),
        description="folder of everything the project writes",
    )
    warehouse_url: SecretStr | None = Field(
        None, description="a PostgreSQL 15+ URL; empty: the embedded server"
    )
    request_log: Path | None = Field(
        None, description="a file that each request of a load and each retry is appended to"
    )
    log_days: int = Field(30, ge=1, description="days that the logs of commands are kept")
    log_megabytes: int = Field(
        500, ge=1, description="size of these logs together; the oldest go first"
    )
    metrics_file: Path | None = Field(
        None,
        description="a file of the figures of what ran for Prometheus: quotemill.prom in the folder of node_exporter's "
        "textfile collector",
    )
    embedded_server: bool = Field(
        True, description="without warehouse_url use a server of our own; false: refuse instead"
    )
    pool_size: int = Field(
        10,
        ge=1,
        le=1000,
        description="connections to the warehouse that a command keeps for its questions",
    )
    max_overflow: int = Field(
        20,
        ge=0,
        le=1000,
        description="connections beyond pool_size while more readers ask at a time",
    )
    market_schema: str = Field(
        "market", pattern=r"^[a-z_][a-z0-9_]{0,62}$", description="name of the schema `market`"
    )
    reader_role: str | None = Field(
        None, pattern=r"^[a-z_][a-z0-9_]{0,62}$", description="a role that may read what is built"
    )
    finding_limit: int = Field(
        0, ge=0, description="more new qa findings of severity error than this end a run with 5"
    )
    questdb_url: SecretStr | None = Field(
        None,
        description="QuestDB as the tick store: http://user:password@host:9000, or `local` for the "
        "server of `quotemill questdb start`",
    )
    backup_folder: Path | None = Field(None, description="where `quotemill backup` writes")
    backups_kept: int = Field(4, ge=1, description="backups of a warehouse that stay")
    tdx: TdxSettings = TdxSettings()
    tq: TqSettings = TqSettings()
    ib: IbSettings = IbSettings()
    questdb: QuestdbSettings = QuestdbSettings()
    schedule: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")], JobSettings] = Field(
        default_factory=dict
    )
    alerts: AlertSettings = AlertSettings()
    server: ServerSettings = ServerSettings()
    origins: dict[str, str] = Field(default_factory=dict, exclude=True)

    @field_validator("home")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        # dbt and the embedded server would each take a relative one from a folder of their own
        return value.expanduser().absolute()

    @field_validator("metrics_file")
    @classmethod
    def _for_a_collector(cls, value: Path | None) -> Path | None:
        if value is not None and value.suffix != ".prom":
            raise ValueError("must end in .prom: the collector reads no other file")
        return value and value.expanduser().absolute()

    @field_validator("warehouse_url", "questdb_url")
    @classmethod
    def _none_if_empty(cls, value: SecretStr | None) -> SecretStr | None:
        return value if value and value.get_secret_value() else None

    def origin(self, name: str) -> str:
        """Where the value of `name` (`tdx.base_url`) came from, for people to read."""
        return self.origins.get(name, "default")


def load_settings(
    environ: Mapping[str, str] | None = None, cwd: Path | None = None, **flags: Any
) -> Settings:
    """Read every source once. Raises SettingsError that names the field and what it allows."""
    cwd = cwd or Path.cwd()
    env = dict(os.environ if environ is None else environ)
    dotenv = _read_dotenv(cwd / ".env")
    merged: dict[str, Any] = {}
    origins: dict[str, str] = {}
    config = env.get("QUOTEMILL_CONFIG") or dotenv.get("QUOTEMILL_CONFIG")
    toml = Path(config) if config else cwd / "quotemill.toml"
    if config and not toml.is_file():
        raise SettingsError(f"QUOTEMILL_CONFIG names {toml}, which is not a file")
    layers = [
        _read_toml(toml),
        _from_environ(dotenv, str(cwd / ".env")),
        _from_environ(env, "environment"),
        {k: (v, "flag") for k, v in flattened(flags).items() if v is not None},
    ]
    for values in layers:
        for dotted, (value, place) in values.items():
            _put(merged, dotted, value)
            origins[dotted] = place
    _leave_to_others(merged, origins)
    try:
        return Settings(**merged, origins=origins)
    except ValidationError as error:
        raise SettingsError(
            "\n".join(_explain(e, origins) for e in error.errors(include_input=False)),
            hint="quotemill.example.toml lists every setting",
        ) from None


def of_environment(environ: Mapping[str, str] | None = None, cwd: Path | None = None) -> Settings:
    """The home and the channels of alerts by the environment and .env alone, for saying that the settings cannot
    be read; addresses that cannot be read either are left out."""
    env = dict(os.environ if environ is None else environ)
    with contextlib.suppress(OSError, UnicodeDecodeError):
        env = {k: v for k, v in dotenv_values((cwd or Path.cwd()) / ".env").items() if v} | env
    known = {name: value for name, (value, _) in _from_environ(env, "").items()}
    try:
        alerts = AlertSettings.model_validate({"urls": known.get("alerts.urls", "")})
    except ValidationError:
        alerts = AlertSettings.model_validate({})
    return Settings(alerts=alerts, **{name: known[name] for name in ("home",) if name in known})


def _leave_to_others(merged: dict[str, Any], origins: dict[str, str]) -> None:
    """Without a gateway the IB_ variables are other tools', whatever they say."""
    section = merged.get("ib")
    if not isinstance(section, dict) or section.get("host"):
        return
    for name in list(section):
        if origins.get(f"ib.{name}", "").endswith(f" IB_{name.upper()}"):
            del section[name], origins[f"ib.{name}"]


def _from_environ(env: Mapping[str, str], place: str) -> dict[str, tuple[Any, str]]:
    """Settings by name, each with the variable it came from."""
    values = {
        name.removeprefix(PREFIX).lower().replace("__", "."): (value, f"{place} {name}")
        for name, value in env.items()
        if name.startswith(PREFIX) and name not in FOREIGN and value != ""
    }
    if env.get("TDX_API_BASE"):
        values.setdefault("tdx.base_url", (env["TDX_API_BASE"], f"{place} TDX_API_BASE"))
    for name in ("HOST", "PORT", "CLIENT_ID", "MARKET_DATA_TYPE"):
        if env.get(f"IB_{name}"):
            values.setdefault(f"ib.{name.lower()}", (env[f"IB_{name}"], f"{place} IB_{name}"))
    if env.get("DB_SCHEMA"):
        values.setdefault("market_schema", (env["DB_SCHEMA"], f"{place} DB_SCHEMA"))
    if env.get("DB_HOST"):
        values.setdefault("warehouse_url", (_url_of_parts(env), f"{place} DB_HOST"))
    return values


def _url_of_parts(env: Mapping[str, str]) -> str:
    user = quote(env.get("DB_USER") or "postgres", safe="")
    password = f":{quote(env['DB_PASSWORD'], safe='')}" if env.get("DB_PASSWORD") else ""
    host, port = env["DB_HOST"], env.get("DB_PORT") or "5432"
    database = quote(env.get("DB_NAME") or "postgres", safe="")
    mode = f"?sslmode={env['DB_SSLMODE']}" if env.get("DB_SSLMODE") else ""
    if host.startswith("/"):  # a socket directory has no place in a URL's authority
        mode = f"{mode or '?'}{'&' if mode else ''}host={quote(host, safe='')}"
        host = ""
    return f"postgresql://{user}{password}@{host}:{port}/{database}{mode}"


def _read_dotenv(path: Path) -> dict[str, str]:
    try:
        return {k: v for k, v in dotenv_values(path).items() if v is not None}
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path} is not text in UTF-8: {error}") from None
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}") from None


def _read_toml(path: Path) -> dict[str, tuple[Any, str]]:
    if not path.is_file():
        return {}
    try:
        values = flattened(tomllib.loads(path.read_text("utf-8")))
        return {dotted: (value, str(path)) for dotted, value in values.items()}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is not valid TOML: {error}") from None
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}") from None


def flattened(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings by their dotted names: `tdx.base_url`."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= flattened(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat


def _put(tree: dict[str, Any], dotted: str, value: Any) -> None:
    *parents, leaf = dotted.split(".")
    for parent in parents:
        tree = tree.setdefault(parent, {})
        if not isinstance(tree, dict):
            raise SettingsError(f"setting {dotted}: {parent} is not a section")
    tree[leaf] = value


def _explain(error: ErrorDetails, origins: Mapping[str, str]) -> str:
    dotted = ".".join(str(part) for part in error["loc"] if isinstance(part, str))
    place = origins.get(dotted, "settings")
    if error["type"] != "extra_forbidden":
        return f"setting {dotted} ({place}): {error['msg']}"
    first = dotted.partition(".")[0]
    part = Settings.model_fields.get(first)
    section: type[BaseModel] = JobSettings if first == "schedule" else Settings
    if part is not None and isinstance(part.default, Section):
        section = type(part.default)
    names = [n for n in section.model_fields if n != "origins"]
    near = difflib.get_close_matches(dotted.split(".")[-1], names, n=1)
    guess = f"; did you mean {near[0]}?" if near else "."
    return f"setting {dotted} ({place}) is unknown{guess} Allowed here: {', '.join(names)}"
