"""QuestDB over HTTP: SQL, tables by Parquet, the wait until writes can be read."""

import io
import json
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pyarrow as pa
import pyarrow.parquet as pq

from quotemill.errors import SettingsError, UpstreamError
from quotemill.foreign import QUESTDB_ANSWER, check_packing, collect, reading
from quotemill.installation import run_command
from quotemill.settings.model import TopSettings

USER = "quotemill"  # of a home's server
CONNECT, ANSWER = 5.0, 120.0  # seconds; the server itself ends a query after 60
_FIX = "Run `quotemill questdb resume`."


@dataclass(frozen=True)
class Address:
    """How to reach a QuestDB over HTTP."""

    url: str  # http://host:port, without user and password
    user: str | None = None
    password: str | None = field(default=None, repr=False)


class StoreError(UpstreamError):
    """The store is away, refuses, or returned something else than was written."""


class StoreAway(StoreError):
    """The server does not answer; it may or may not have taken what was sent."""


class Refused(StoreError):
    """The server does not take what was sent."""


class Suspended(StoreError):
    """A table takes writes and shows none of them."""


class QuestdbHttp:
    """One kept-alive connection. Not thread-safe."""

    def __init__(self, address: Address) -> None:
        import httpx

        self.address = address
        user = (address.user, address.password or "") if address.user else None
        self._client = httpx.Client(
            base_url=address.url,
            auth=user,
            timeout=httpx.Timeout(ANSWER, connect=CONNECT),
            trust_env=False,  # neither proxies nor .netrc
        )

    def close(self) -> None:
        self._client.close()

    def rows(self, sql: str) -> list[dict[str, Any]]:
        """Run one statement. Its rows by name; times are text, whole numbers are whole."""
        # else a LONG beyond 2^53 loses digits; with it every LONG is text
        content = self._get("/exec", {"query": sql, "quoteLargeNum": "true"})
        with reading(self._place, StoreError):
            answer = json.loads(content)
            columns = answer.get("columns", [])
            names = [column["name"] for column in columns]
            rows = [dict(zip(names, row, strict=True)) for row in answer.get("dataset", [])]
            for name in (column["name"] for column in columns if column["type"] == "LONG"):
                for row in rows:
                    row[name] = None if row[name] is None else int(row[name])
            return rows

    def table(self, sql: str) -> pa.Table:
        """The answer of a query, as Arrow: SYMBOL as text, TIMESTAMP in UTC."""
        content = self._get("/exp", {"query": sql, "fmt": "parquet"})
        with reading(self._place, StoreError):
            return pq.read_table(io.BytesIO(content))

    def parameters(self, *names: str) -> dict[str, str | None]:
        """Values of the server's configuration, by name."""
        rows = self.rows(
            "select property_path, value from (show parameters) "
            f"where property_path in ({', '.join(map(literal, names))})"
        )
        return {row["property_path"]: row["value"] for row in rows}

    def wait_applied(self, table: str, patience: float) -> None:
        """Wait until readers see all earlier writes. Raises Suspended, StoreError."""
        query = (
            "select suspended, writerTxn, sequencerTxn, errorTag, errorMessage "
            f"from wal_tables() where name = '{table}'"
        )
        started = time.monotonic()
        goal: int | None = None
        while True:
            states = self.rows(query)
            if not states:
                raise StoreError(
                    f"{self.address.url} has no table {table}", hint="Run `loaders run tq`."
                )
            state = states[0]
            # a busy table never stands still: later writes are not waited for
            goal = state["sequencerTxn"] if goal is None else goal
            if state["suspended"]:
                raise Suspended(suspension(table, state), hint=_FIX)
            if state["writerTxn"] >= goal:
                return
            waited = time.monotonic() - started
            if waited > patience:
                applied = f"{table}: only transaction {state['writerTxn']} of {goal} is readable"
                raise StoreError(
                    f"{applied} after {patience:g} s", hint="Run `quotemill questdb status`."
                )
            # late by a tenth at most, and few queries to a server that has work to do
            time.sleep(min(max(waited / 10, 0.001), 0.05))

    def suspended(self) -> dict[str, str]:
        """Why each suspended table is suspended, by name."""
        rows = self.rows(
            "select name, suspended, writerTxn, sequencerTxn, errorTag, errorMessage "
            "from wal_tables() where suspended"
        )
        return {row["name"]: suspension(row["name"], row) for row in rows}

    def find_failing(self, table: str) -> tuple[int, str]:
        """The transaction that a suspended table cannot apply, and when it was written."""
        (state,) = self.rows(
            f"select writerTxn, bufferedTxnSize from wal_tables() where name = '{table}'"
        )
        number = state["writerTxn"] + state["bufferedTxnSize"] + 1
        rows = self.rows(
            f"select timestamp from wal_transactions('{table}') where sequencerTxn = {number}"
        )
        return number, rows[0]["timestamp"] if rows else "at an unknown time"

    def _get(self, path: str, params: dict[str, str]) -> bytes:
        import httpx

        try:
            with (
                reading(self._place, StoreError, but=(httpx.TransportError,)),
                self._client.stream("GET", path, params=params) as answer,
            ):
                check_packing(self._place, answer.headers, StoreError)
                content = collect(answer.iter_bytes(), self._place, QUESTDB_ANSWER, StoreError)
        except httpx.TransportError as error:
            raise self._away(error) from None
        if answer.status_code in (401, 403):
            raise SettingsError(
                f"QuestDB at {self.address.url} rejects the user {self.address.user or '(none)'}",
                hint="Check the user and password in questdb_url.",
            )
        if answer.status_code >= 500:
            raise self._away(answer.status_code)
        if answer.status_code != 200:
            raise Refused(f"QuestDB refused: {_reason(answer.status_code, content)}")
        return content

    @property
    def _place(self) -> str:
        return f"the response of QuestDB at {self.address.url}"

    def _away(self, why: object) -> StoreAway:
        reason = type(why).__name__ if isinstance(why, Exception) else f"HTTP {why}"
        return StoreAway(
            f"QuestDB at {self.address.url} does not respond ({reason})",
            hint="Run `quotemill questdb start`, or check the server in questdb_url.",
        )


def find_address(settings: TopSettings) -> Address:
    """The address of `questdb_url`. Raises StoreAway for a home's, if down."""
    if not settings.has_own_questdb:
        url = settings.questdb_url.get_secret_value()
        return parse_address(url, settings.origin("questdb_url"))
    home = settings.home
    # its process holds a lock, which the command looks at
    state = json.loads(run_command(["questdb", "status", "--json"], home))
    if not state["url"]:
        raise explain_down(home)
    return Address(state["url"], USER, (home / "questdb" / "password").read_text().strip())


def explain_down(home: Path) -> StoreAway:
    """The error of a home's server that is not up."""
    return StoreAway(f"the QuestDB of {home} is not running", hint="Run `quotemill questdb start`.")


def parse_address(url: str, origin: str) -> Address:
    """The address that `questdb_url` has. Raises SettingsError for a wrong one."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:  # a port beyond 65535, an open bracket
        raise _address_error(origin) from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise _address_error(origin)
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return Address(
        f"{parts.scheme}://{host}:{port or 9000}",
        unquote(parts.username) if parts.username else None,
        unquote(parts.password) if parts.password else None,
    )


def _address_error(origin: str) -> SettingsError:
    return SettingsError(
        f"setting questdb_url ({origin}) is not a QuestDB address",
        hint="Write http://user:password@host:9000, with special characters in the password as "
        "%XX, or local.",
    )


def suspension(table: str, state: dict[str, Any]) -> str:
    """Why a table of wal_tables() is suspended."""
    why = " ".join(str(state[name]) for name in ("errorTag", "errorMessage") if state[name])
    return (
        f"the table {table} is suspended at transaction {state['writerTxn']} of "
        f"{state['sequencerTxn']}{f': {why}' if why else ''}"
    )


def literal(text: str) -> str:
    """A text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def _reason(status: int, content: bytes) -> str:
    with suppress(StoreError), reading("error", StoreError):
        return str(json.loads(content)["error"])
    return f"HTTP {status} {content[:200].decode(errors='replace')}"
