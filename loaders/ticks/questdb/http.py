"""QuestDB over HTTP: SQL, tables by Parquet, the wait until writes can be read."""

import io
import time
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from loaders.errors import SettingsError
from loaders.ticks.questdb.server import Address
from loaders.ticks.store import StoreError

if TYPE_CHECKING:  # it takes long to import
    import httpx

CONNECT, ANSWER = 5.0, 120.0  # seconds; the server itself ends a query after 60
_FIX = "quotemill questdb resume"


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
        answer = self._get("/exec", {"query": sql, "quoteLargeNum": "true"}).json()
        columns = answer.get("columns", [])
        names = [column["name"] for column in columns]
        rows = [dict(zip(names, row, strict=True)) for row in answer.get("dataset", [])]
        for name in (column["name"] for column in columns if column["type"] == "LONG"):
            for row in rows:
                row[name] = None if row[name] is None else int(row[name])
        return rows

    def table(self, sql: str) -> pa.Table:
        """The answer of a query, as Arrow: SYMBOL as text, TIMESTAMP in UTC."""
        answer = self._get("/exp", {"query": sql, "fmt": "parquet"})
        return pq.read_table(io.BytesIO(answer.content))

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
                raise StoreError(f"{self.address.url} has no table {table}", hint="loaders run tq")
            state = states[0]
            # a busy table never stands still: later writes are not waited for
            goal = state["sequencerTxn"] if goal is None else goal
            if state["suspended"]:
                raise Suspended(suspension(table, state), hint=_FIX)
            if state["writerTxn"] >= goal:
                return
            waited = time.monotonic() - started
            if waited > patience:
                applied = f"{table}: transaction {state['writerTxn']} of {goal} can be read"
                raise StoreError(f"{applied} after {patience:g} s", hint="quotemill questdb status")
            # late by a tenth at most, and few queries to a server that has work to do
            time.sleep(min(max(waited / 10, 0.001), 0.05))

    def suspended(self) -> dict[str, str]:
        """Why each suspended table is suspended, by name."""
        rows = self.rows(
            "select name, suspended, writerTxn, sequencerTxn, errorTag, errorMessage "
            "from wal_tables() where suspended"
        )
        return {row["name"]: suspension(row["name"], row) for row in rows}

    def _get(self, path: str, params: dict[str, str]) -> "httpx.Response":
        import httpx

        try:
            answer = self._client.get(path, params=params)
        except httpx.TransportError as error:
            raise self._away(error) from None
        if answer.status_code in (401, 403):
            raise SettingsError(
                f"QuestDB at {self.address.url} refuses the user {self.address.user or '(none)'}",
                hint="check user and password of questdb_url",
            )
        if answer.status_code >= 500:
            raise self._away(answer.status_code)
        if answer.status_code != 200:
            raise Refused(f"QuestDB refused: {_reason(answer)}")
        return answer

    def _away(self, why: object) -> StoreAway:
        reason = type(why).__name__ if isinstance(why, Exception) else f"HTTP {why}"
        return StoreAway(
            f"QuestDB at {self.address.url} does not answer ({reason})",
            hint="run quotemill questdb start, or check the server that questdb_url names",
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


def _reason(answer: "httpx.Response") -> str:
    try:
        return str(answer.json()["error"])
    except (ValueError, KeyError, TypeError):
        return f"HTTP {answer.status_code} {answer.text[:200]}"
