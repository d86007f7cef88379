"""Settings: the one place that reads the environment and files.

Precedence: flag > environment > .env > quotemill.toml > default. The settings file is
`quotemill.toml` in the working directory, or the file that QUOTEMILL_CONFIG names.
Users of the TDX service have TDX_API_BASE and DB_HOST, DB_PORT, DB_NAME, DB_USER, DB_PASSWORD,
DB_SCHEMA, DB_SSLMODE set already; they are understood where the QUOTEMILL_ form is absent.
"""

import difflib
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import quote

from platformdirs import user_data_dir
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator
from pydantic_core import ErrorDetails

from loaders.errors import SettingsError

PREFIX = "QUOTEMILL_"
# read by others under the same prefix: the settings file's own place, the build's lock holder, the test suite
FOREIGN = {"QUOTEMILL_CONFIG", "QUOTEMILL_REQUIRE", "QUOTEMILL_BUILD_LOCK_HELD"}


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TdxSettings(_Section):
    """The TDX HTTP service. Times in seconds."""

    base_url: str | None = Field(None, description="address of the service, http://host:8080")
    corporate_actions: Path | Literal["xdxr"] | None = Field(
        None, description="a CSV file, a folder of them, or `xdxr` for the TDX quote servers"
    )
    indices: list[Annotated[str, Field(pattern=r"^(sh|sz|bj)[0-9]{6}$")]] = Field(
        ["sh000001", "sz399001", "sh000300"], description="indices to load; no list names them"
    )
    concurrency: int = Field(6, ge=1, le=6, description="requests at once; the service has six")
    timeout: float = Field(10.0, gt=0, description="time-out of a request")
    bulk_timeout: float = Field(30.0, gt=0, description="time-out of a bulk request")
    retries: int = Field(3, ge=0, description="retries of a failed request")
    backoff: float = Field(0.5, ge=0, description="first pause before a retry; doubled each time")
    outage_wait: float = Field(180.0, ge=0, description="longest wait for a service that is down")
    batch_size: int = Field(2000, ge=1, description="codes in one task of a job")
    slice_size: int = Field(500, ge=1, le=500, description="codes in one package of rows")
    overlap: int = Field(10, ge=1, description="days that an incremental load reads again")
    requests_per_second: float | None = Field(
        None, gt=0, description="most requests a second, of all routes together; empty: no limit"
    )
    vipdoc: Path | None = Field(
        None, description="the desktop client's folder `vipdoc`, read before the service is asked"
    )
    minute_days: int = Field(
        100,
        ge=1,
        le=100,
        description="days of minutes that a first load asks for; 100 is all there is",
    )
    tick_days: int = Field(
        60, ge=1, description="newest trading days whose ticks are kept complete"
    )
    realtime_when_busy: Literal["skip", "queue"] = Field(
        "skip", description="what a realtime load does while another load of the source runs"
    )
    apply_inferred_actions: bool = Field(
        False,
        description="adjust prices by actions inferred from the vendor's series, where no source has them",
    )

    @field_validator("base_url")
    @classmethod
    def _web_address(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(("http://", "https://")):
            raise ValueError("must start with http:// or https://")
        return value.rstrip("/") if value else None

    @field_validator("corporate_actions", "vipdoc")
    @classmethod
    def _own_home(cls, value: Path | str | None) -> Path | str | None:
        return value.expanduser() if isinstance(value, Path) else value

    @field_validator("indices", mode="before")
    @classmethod
    def _comma_list(cls, value: Any) -> Any:
        return (
            [v.strip() for v in value.split(",") if v.strip()] if isinstance(value, str) else value
        )

    @property
    def address(self) -> str | None:
        """`base_url` for people and records: without a user and a password."""
        if self.base_url is None:
            return None
        scheme, _, rest = self.base_url.partition("://")
        authority, slash, path = rest.partition("/")
        return f"{scheme}://{authority.rpartition('@')[2]}{slash}{path}"


class Settings(_Section):
    """Everything the project can be told. `origins` says where each value came from."""

    home: Path = Field(
        default_factory=lambda: Path(user_data_dir("quotemill", appauthor=False)),
        description="folder of everything the project writes",
    )
    warehouse_url: SecretStr | None = Field(
        None, description="a PostgreSQL 15+ URL; empty: the embedded server"
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
    tdx: TdxSettings = TdxSettings()
    origins: dict[str, str] = Field(default_factory=dict, exclude=True)

    @field_validator("home")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        # dbt and the embedded server would each take a relative one from a folder of their own
        return value.expanduser().absolute()

    @field_validator("warehouse_url")
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
        {k: (v, "flag") for k, v in _flatten(flags).items() if v is not None},
    ]
    for values in layers:
        for dotted, (value, place) in values.items():
            _put(merged, dotted, value)
            origins[dotted] = place
    try:
        return Settings(**merged, origins=origins)
    except ValidationError as error:
        raise SettingsError(
            "\n".join(_explain(e, origins) for e in error.errors(include_input=False)),
            hint="quotemill.example.toml lists every setting",
        ) from None


def _from_environ(env: Mapping[str, str], place: str) -> dict[str, tuple[Any, str]]:
    """Settings by name, each with the variable it came from."""
    values = {
        name.removeprefix(PREFIX).lower().replace("__", "."): (value, f"{place} {name}")
        for name, value in env.items()
        if name.startswith(PREFIX) and name not in FOREIGN and value != ""
    }
    if env.get("TDX_API_BASE"):
        values.setdefault("tdx.base_url", (env["TDX_API_BASE"], f"{place} TDX_API_BASE"))
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
    if not path.is_file():
        return {}
    from dotenv import dotenv_values

    return {k: v for k, v in dotenv_values(path).items() if v is not None}


def _read_toml(path: Path) -> dict[str, tuple[Any, str]]:
    if not path.is_file():
        return {}
    try:
        values = _flatten(tomllib.loads(path.read_text("utf-8")))
        return {dotted: (value, str(path)) for dotted, value in values.items()}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is not valid TOML: {error}") from None
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}") from None


def _flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flatten(value, f"{prefix}{key}.")
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
    section: type[BaseModel] = TdxSettings if dotted.startswith("tdx.") else Settings
    names = [n for n in section.model_fields if n != "origins"]
    near = difflib.get_close_matches(dotted.split(".")[-1], names, n=1)
    guess = f"; did you mean {near[0]}?" if near else ""
    return f"setting {dotted} ({place}) is unknown{guess} Allowed here: {', '.join(names)}"
