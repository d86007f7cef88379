"""Addresses of a PostgreSQL server: parse, build and label them."""

from collections.abc import Mapping
from urllib.parse import quote, urlencode

import psycopg
from psycopg.conninfo import conninfo_to_dict

from quotemill.errors import SettingsError


def parse_address(url: str, origin: str) -> dict[str, str]:
    """Parse a URL or a `host=… dbname=…` string. Raises SettingsError, which quotes none of it."""
    try:
        params = {k: str(v) for k, v in conninfo_to_dict(url).items() if v is not None}
    except psycopg.ProgrammingError:
        # libpq's own text may quote a part of the password
        raise SettingsError(
            f"setting warehouse_url ({origin}) is not a PostgreSQL address",
            hint="Write postgresql://user:password@host:5432/database, with special characters in "
            "the password as %XX.",
        ) from None
    if _has_stray_at(url):  # then a part of the password would count as the host, and be shown
        raise SettingsError(
            f"setting warehouse_url ({origin}): the password contains an @ or a /",
            hint="Write @ as %40 and / as %2F in it.",
        )
    if "," in params.get("host", "") or "," in params.get("port", ""):
        raise SettingsError(f"setting warehouse_url ({origin}) must have only one host")
    if not params.get("port", "5432").isdigit():
        raise SettingsError(f"setting warehouse_url ({origin}): the port is not a number")
    return params


def _has_stray_at(url: str) -> bool:
    """Whether an @ of a URL is not the end of its login, which is the first @ before any /."""
    _, is_url, rest = url.partition("://")
    login, at, place = rest.partition("@")
    if not at or "/" in login:
        place = rest
    return bool(is_url) and "@" in place.partition("?")[0]


def build_address(params: Mapping[str, str], socket_host: str = "") -> str:
    """A URI; `socket_host` is the host in front where a socket's folder is in the query."""
    query = dict(params)
    host, user, database = query.pop("host", ""), query.pop("user"), query.pop("dbname")
    port, password = query.pop("port"), query.pop("password", "")
    if host.startswith(("/", "@")):
        query["host"], host = host, socket_host
    secret = f":{quote(password, safe='')}" if password else ""
    where = f"[{host}]" if ":" in host else quote(host, safe="")
    address = (
        f"postgresql://{quote(user, safe='')}{secret}@{where}:{port}/{quote(database, safe='')}"
    )
    return address + (f"?{urlencode(query, quote_via=quote)}" if query else "")


def label_address(params: Mapping[str, str]) -> str:
    """Name a server and database without a password."""
    host = params.get("host") or params.get("hostaddr") or "localhost"
    user = f"{params['user']}@" if "user" in params else ""
    database = params.get("dbname") or params.get("user") or ""
    return f"postgresql://{user}{host}:{params.get('port', '5432')}/{database}"
