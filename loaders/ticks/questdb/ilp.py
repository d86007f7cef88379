"""Rows to a QuestDB elsewhere: the only module that imports its own client."""

from collections.abc import Iterable, Sequence
from types import MappingProxyType
from typing import Any

import pyarrow as pa

from quotemill.errors import SettingsError
from quotemill.installation import install_hint
from quotemill.ticks.questdb_http import Address, Refused, StoreAway, StoreError

# a row of ticks has 700 bytes; a day stays in one buffer, because one request is one transaction
_BUFFER = 4 * 2**30
_TYPES = MappingProxyType({pa.string(): "string"})


class IlpWriter:
    """`send` writes rows as one transaction. Not thread-safe."""

    most_rows = 500_000  # of a request, which is held in memory

    def __init__(self, address: Address) -> None:
        self._address = address
        self._sender: Any = None

    def send(self, name: str, parts: Iterable[pa.Table], symbols: Sequence[str]) -> None:
        """Raise StoreAway if they may not have been taken, Refused if they were not."""
        questdb = _client()
        try:
            if self._sender is None:
                self._sender = questdb.Sender.from_conf(self._conf())
                self._sender.establish()
            with self._sender.transaction(name) as transaction:
                for rows in parts:
                    frame = rows.to_pandas(types_mapper=_arrow_dtype)
                    transaction.dataframe(frame, symbols=list(symbols), at="ts")
        except questdb.QuestDBError as error:
            self.close()
            raise self._failure(error, questdb) from None

    def close(self) -> None:
        """Drop the connection, and with it all unsent rows."""
        sender, self._sender = self._sender, None
        if sender is not None:
            sender.close(flush=False)

    def _conf(self) -> str:
        scheme, _, host = self._address.url.partition("://")
        conf = f"{scheme}::addr={host};auto_flush=off;protocol_version=3;max_buf_size={_BUFFER};"
        if self._address.user:
            # a semicolon would end the value
            password = (self._address.password or "").replace(";", ";;")
            conf += f"username={self._address.user.replace(';', ';;')};password={password};"
        return conf

    def _failure(self, error: Any, questdb: Any) -> StoreError | SettingsError:
        code = questdb.QuestDBErrorCode
        text = str(error)
        if self._address.password:
            text = text.replace(self._address.password, "***")
        if error.code == code.AuthError:
            return SettingsError(
                f"QuestDB at {self._address.url} rejects the user {self._address.user}",
                hint="Check user and password in questdb_url.",
            )
        refused = error.code == code.ServerFlushError and '"code"' in text
        if refused or error.code in (code.InvalidApiCall, code.BadDataFrame):
            return Refused(f"QuestDB rejected the rows: {text}")
        return StoreAway(
            f"QuestDB at {self._address.url} does not respond ({text[:200]})",
            hint="Check the server set in questdb_url.",
        )


def _client() -> Any:
    try:
        import questdb
    except ImportError:
        raise SettingsError(
            "QuestDB on another machine needs its client", hint=install_hint("questdb")
        ) from None
    return questdb


def _arrow_dtype(kind: pa.DataType) -> Any:
    """The Arrow dtype: pandas' own makes floats of whole numbers with a null."""
    import pandas as pd

    return pd.ArrowDtype(kind)
