"""Settings: read with their origins, written into the files of the home."""

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import Field, StrictBool, StrictFloat, StrictInt, StrictStr

from loaders.settings import Settings
from loaders.settings.listing import HIDDEN, Setting, is_open, list_settings, names_path
from loaders.settings.load import read_layers
from loaders.settings.saving import find_overruling, save_settings
from orchestration.checks.settings import check_new_settings
from orchestration.console.api.answers import Answer, Call
from orchestration.console.api.connection import (
    Database,
    check_address,
    list_variables,
    refuse_share,
)
from orchestration.console.context import Console
from quotemill.errors import UsageError
from quotemill.settings.allowed import find_field
from quotemill.settings.environment import build_database_url
from quotemill.settings.files import DOTENV, TOML
from quotemill.warehouse.address import parse_address

# an address may also name files that libpq reads, and one that it writes (sslkeylogfile)
ADDRESS_PARTS = {"host", "port", "dbname", "user", "password", "sslmode"}
Name = Annotated[str, Field(max_length=200)]
Scalar = StrictBool | StrictInt | StrictFloat | Annotated[StrictStr, Field(max_length=5000)]
Value = Scalar | Annotated[list[Scalar], Field(max_length=5000)] | None


class SettingAnswer(Answer):
    """A setting. The value of a secret is never shown.

    origin: default, or the variable or file that sets it
    allowed: a description of valid values, empty for any text
    overruled_by: the variable or file that sets it, if the console cannot write it
    """

    name: str
    value: Any
    origin: str
    variable: str
    meaning: str
    allowed: str
    is_secret: bool
    is_set: bool
    choices: list[Any]
    overruled_by: str | None
    is_editable: bool


class DatabaseAnswer(Answer):
    """The warehouse address in parts, without the password."""

    host: str | None
    port: int | None
    name: str | None
    user: str | None
    market_schema: str = Field(alias="schema")
    sslmode: str | None
    has_password: bool


class SettingsAnswer(Answer):
    """All settings, and the files that PUT writes. Secrets go into the second file."""

    files: list[str]
    database: DatabaseAnswer | None
    settings: list[SettingAnswer]


class SettingsCall(Call):
    """Settings to change, by name. Null restores the default.

    `database` is the warehouse address in parts (DB_HOST and so on). Without `password` the saved
    one is kept if server and user are the same. A masked value, as GET shows it, is rejected.
    """

    values: Annotated[dict[Name, Value], Field(default_factory=dict, max_length=200)]
    database: Database | None = None


def routes(console: Console) -> APIRouter:
    router = APIRouter(tags=["settings"])

    @router.get("/settings")
    def read_settings() -> SettingsAnswer:
        """List all settings with value and origin: `quotemill settings`."""
        return describe_settings(console, console.settings())

    @router.put("/settings")
    def write_settings(call: SettingsCall) -> SettingsAnswer:
        """Save in the home's quotemill.toml and .env: `quotemill settings --set NAME=VALUE`.

        Rejected for an invalid value, or if a variable or another file overrides these files.
        """
        return describe_settings(console, change_settings(console, call))

    return router


def change_settings(console: Console, call: SettingsCall) -> Settings:
    values: dict[str, Any] = dict(call.values)
    for name, value in values.items():
        if find_field(Settings, name) is not None and not is_open(name):
            raise UsageError(
                f"the console cannot change setting {name[:100]}",
                hint="Set it in a settings file, because it is a program, a path or a server.",
            )
        if names_path(name):
            refuse_share(str(value), name)
        if HIDDEN in str(value):
            raise UsageError(
                f"the value of {name[:100]} is masked",
                hint="Leave it out to keep the stored value.",
            )
        if name == "warehouse_url" and value:
            check_address(console, str(value))
            others = parse_address(str(value), "the console").keys() - ADDRESS_PARTS
            if others:
                raise UsageError(
                    f"the console cannot set {', '.join(sorted(others))} in a warehouse address",
                    hint="Run `quotemill settings --set warehouse_url`.",
                )
    if call.database is not None:
        if "warehouse_url" in values or "market_schema" in values:
            raise UsageError("give either `database` or single settings")
        if not call.database.host:
            raise UsageError(
                "`host` is missing",
                hint="Give `host`, or set `warehouse_url` to null for the embedded server.",
            )
        url = build_database_url(list_variables(console.settings(), call.database))
        check_address(console, url)
        values["warehouse_url"] = url
        if call.database.market_schema:
            values["market_schema"] = call.database.market_schema
    if not values:
        raise UsageError("nothing to change: `values` and `database` are empty")

    check = partial(check_new_settings, values=values)
    return save_settings(values, console.environ, console.cwd, check)


def describe_settings(console: Console, settings: Settings) -> SettingsAnswer:
    layers = read_layers(console.environ, console.cwd)
    return SettingsAnswer(
        files=[str(settings.home / TOML), str(settings.home / DOTENV)],
        database=_describe_database(settings),
        settings=[
            _describe(row, find_overruling(layers, row.name)) for row in list_settings(settings)
        ],
    )


def _describe(row: Setting, overruled_by: str | None) -> SettingAnswer:
    known = {**vars(row), "is_set": row.is_set, "overruled_by": overruled_by}
    known["value"] = None if row.is_secret else row.value
    is_ours = is_open(row.name) and overruled_by is None
    return SettingAnswer(**known, is_editable=is_ours)


def _describe_database(settings: Settings) -> DatabaseAnswer | None:
    """The warehouse of the settings; None for the embedded server."""
    if settings.warehouse_url is None:
        return None
    address = settings.warehouse_url.get_secret_value()
    known: Mapping[str, str] = parse_address(address, settings.origin("warehouse_url"))
    return DatabaseAnswer(
        host=known.get("host"),
        port=int(known.get("port", "5432")),
        name=known.get("dbname"),
        user=known.get("user"),
        schema=settings.market_schema,
        sslmode=known.get("sslmode"),
        has_password="password" in known,
    )
