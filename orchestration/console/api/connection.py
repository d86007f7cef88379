"""Test a connection before its settings are saved: the warehouse, or a source."""

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request
from pydantic import Field, SecretStr, StringConstraints

from loaders import sources
from loaders.check import Check
from loaders.settings import Settings, load_settings
from orchestration.console.api.answers import Answer, Call, CheckAnswer
from orchestration.console.context import Console
from orchestration.console.pages.words import choose_words
from quotemill.errors import UsageError
from quotemill.settings.environment import build_database_url
from quotemill.warehouse.address import label_address, parse_address

Text = Annotated[str, Field(max_length=2000)]
# a name, an address, or the folder of a socket: nothing that could add parameters to a URL
Host = Annotated[
    str,
    StringConstraints(max_length=500, pattern=r"^([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]|/[^,]*)$"),
]
# variables by which libpq finds a password for an address without one
LOGINS = ("PGPASSWORD", "PGPASSFILE", "PGSERVICE", "PGSERVICEFILE")
# a folder of another machine, as Windows writes it
SHARE = re.compile(r"\s*[\\/]([\\/]|\?\?)")
SslMode = Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"]


class Database(Call):
    """A warehouse by the names of DB_HOST, DB_PORT, DB_NAME, DB_USER, DB_PASSWORD, DB_SCHEMA, …"""

    host: Host | None = None
    port: Annotated[int, Field(ge=1, le=65535)] | None = None
    name: Text | None = None
    user: Text | None = None
    password: SecretStr | None = None
    market_schema: Text | None = Field(None, alias="schema")
    sslmode: SslMode | None = None


class ConnectionTest(Database):
    """A connection to test: a `source`, or the warehouse with these values.

    The fields are named after the variables DB_HOST, DB_PORT, DB_NAME, DB_USER, DB_PASSWORD,
    DB_SCHEMA and DB_SSLMODE. Without `host` the saved warehouse is tested. Without `password` the
    saved one is sent, but only for the same server and user.
    """

    source: Text | None = None


class ConnectionCheck(CheckAnswer):
    """One check. `status` and `text` are older names of `verdict` and `sentence`."""

    status: str
    text: str


class Tested(Answer):
    """Each check, whether all passed (`ok`), and whether any warned (`warned`)."""

    ok: bool
    warned: bool
    checks: list[ConnectionCheck]


def routes(console: Console) -> APIRouter:
    router = APIRouter(tags=["settings"])

    @router.post("/connection/test")
    def run_connection_test(call: ConnectionTest, request: Request) -> Tested:
        """Connect and check what loads require: `quotemill doctor`, `loaders check SOURCE`."""
        from orchestration.checks import gather  # takes long to import

        now = console.clock()
        if call.source is not None:
            if call.model_fields_set - {"source"}:
                raise UsageError(
                    "a source is tested with its saved settings", hint="Give only `source`."
                )
            sources.find(call.source)  # an unknown one is a wrong call
            checks = list(sources.check(call.source, console.settings(), console.now))
        else:
            settings = console.settings()
            tried = _try_values(console, settings, call)
            checks = gather.examine(tried, now, names=gather.CONNECTION)
        verdicts = {check.verdict for check in checks}
        t = choose_words(request)
        return Tested(
            ok=verdicts <= {"ok", "warn"},
            warned="warn" in verdicts,
            checks=[_describe(check, t) for check in checks],
        )

    return router


def _describe(check: Check, t: Callable[[str], str]) -> ConnectionCheck:
    row = check.as_json()
    said = row | {name: t(row[name]) for name in ("name", "verdict", "sentence", "fix")}
    older = {"status": said["verdict"], "text": said["sentence"]}
    return ConnectionCheck(**said, **older, elapsed_ms=check.elapsed_ms)


def _try_values(console: Console, saved: Settings, call: ConnectionTest) -> Settings:
    """The settings with the values of a call in place of those saved."""
    flags: dict[str, Any] = {}
    if call.market_schema:
        flags["market_schema"] = call.market_schema
    if call.host:
        url = flags["warehouse_url"] = build_database_url(list_variables(saved, call))
        check_address(console, url)
    elif call.model_fields_set - {"market_schema", "host"}:
        raise UsageError(
            "`host` is missing", hint="Leave out all values to test the saved warehouse."
        )
    return load_settings(console.environ, console.cwd, **flags)


def list_variables(saved: Settings, call: Database) -> Mapping[str, str]:
    """The variables that name a warehouse; the saved password only for the same server and user."""
    given = {
        "DB_HOST": call.host,
        "DB_PORT": str(call.port) if call.port else None,
        "DB_NAME": call.name,
        "DB_USER": call.user,
        "DB_SSLMODE": call.sslmode,
        "DB_PASSWORD": call.password.get_secret_value() if call.password else None,
    }
    variables = {name: value for name, value in given.items() if value}
    if "DB_PASSWORD" not in variables and (password := _find_saved_password(saved, variables)):
        variables["DB_PASSWORD"] = password
    return variables


def _find_saved_password(saved: Settings, variables: Mapping[str, str]) -> str | None:
    """The saved password, if it is one of this server and user."""
    if saved.warehouse_url is None:
        return None
    known = parse_address(saved.warehouse_url.get_secret_value(), saved.origin("warehouse_url"))
    wanted = parse_address(build_database_url(variables), "the form")
    # the database may be another; every parameter can lead elsewhere, or to a weaker check
    if _list_parameters(known) != _list_parameters(wanted):
        return None
    return known.get("password")


def check_address(console: Console, url: str) -> None:
    """Raises UsageError if a password from the environment would be sent to another server."""
    wanted = parse_address(url, "the console")
    refuse_share(wanted.get("host", ""), "warehouse_url")
    names = [name for name in LOGINS if console.environ.get(name)]
    if not names or wanted.get("password"):
        return
    saved = console.settings()
    before = saved.warehouse_url.get_secret_value() if saved.warehouse_url else ""
    known = parse_address(before, saved.origin("warehouse_url")) if before else {}
    if _list_parameters(known) != _list_parameters(wanted):
        raise UsageError(
            f"{names[0]} from the environment would be sent to {label_address(wanted)}",
            hint="Give a password with the address, or start the console without that variable.",
        )


def refuse_share(path: str, name: str) -> None:
    """Raises UsageError for a path to whose machine Windows would send the user's login."""
    if SHARE.match(path):
        raise UsageError(
            f"the console cannot set {name} to a folder on another machine",
            hint=f"Run `quotemill settings --set {name}`.",
        )


def _list_parameters(address: Mapping[str, str]) -> dict[str, str]:
    left_out = ("password", "dbname")
    return {"port": "5432"} | {n: v for n, v in address.items() if n not in left_out}
