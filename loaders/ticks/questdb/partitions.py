"""Partitions of old ticks in QuestDB's Parquet: a tenth of the bytes, read like others.

QuestDB 9.3.4 must not write into one: an INSERT leaves a replaced tick beside the new one where
equal stamps lie in two row groups, and an UPDATE suspends the table for good. So a write converts
those that it touches to QuestDB's own form first, and `quotemill retention` packs them again.
"""

import os
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from datetime import date, timedelta
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from loaders.ticks.frame import key_of
from loaders.ticks.questdb.connection import Connection
from loaders.ticks.questdb.ranges import measure_ticks
from loaders.ticks.questdb.rows import near_condition
from loaders.ticks.store import MeasuredTicks
from loaders.ticks.tables import MAIN_TICKS, QUESTDB_TABLES
from loaders.trading_time import number_to_date
from quotemill.systems import IS_POSIX
from quotemill.ticks.questdb_http import QuestdbHttp

PATIENCE = 600.0  # seconds for partitions to be converted
AT_ONCE = 20  # partitions in one statement, which is part of an address
_TABLE = MAIN_TICKS.name


def find_parquet_partitions(http: QuestdbHttp) -> Iterator[tuple[str, str]]:
    """Our other tables with such partitions, which double rows, each with its fix."""
    names = {row["table_name"] for row in http.rows("select table_name from tables()")}
    for name in (table.name for table in QUESTDB_TABLES if table.name in names - {_TABLE}):
        (answer,) = http.rows(
            f"select count() as n from table_partitions('{name}') where isParquet"
        )
        if answer["n"]:
            yield (
                (
                    f"the table {name} has partitions in Parquet ({answer['n']:,}), in which "
                    "QuestDB stores revised rows twice"
                ),
                f"run in QuestDB `ALTER TABLE {name} CONVERT PARTITION TO NATIVE WHERE ts >= 0`",
            )


class Partitions:
    """The partitions of ticks: UTC days. The newest, which the server writes, is left out."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def list_native(self) -> dict[date, int]:
        """The rows of each day in QuestDB's own form."""
        return self._connection.retry(lambda: _list_days(self._connection.http(), packed=False))

    def list_trading_days(self, days: Collection[date]) -> dict[date, set[date]]:
        """The trading days whose ticks, visible or not, lie in each of the days."""
        query = (
            f"select timestamp_floor('d', ts) as day, trading_day from {_TABLE} where ts >= "
            f"'{min(days)}' and ts < '{max(days) + timedelta(1)}' group by day, trading_day"
        )
        inside: dict[date, set[date]] = defaultdict(set)
        for row in self._connection.retry(lambda: self._connection.http().rows(query)):
            inside[date.fromisoformat(row["day"][:10])].add(number_to_date(row["trading_day"]))
        return {day: inside[day] for day in days}

    def measure(self, trading_days: Collection[date]) -> list[MeasuredTicks]:
        """All that readers see of trading days, whatever the index says."""
        where = near_condition(*trading_days)
        return self._connection.retry(lambda: measure_ticks(self._connection.http(), _TABLE, where))

    def pack(self, days: Collection[date]) -> None:
        """Convert days to Parquet. QuestDB does not flush its files: on this machine we do."""
        self._connection.retry(lambda: _convert(self._connection.http(), days, "PARQUET"))
        if IS_POSIX and self._connection.free_bytes() is not None:
            os.sync()

    def unpack(self, days: Collection[date]) -> None:
        """Convert days to QuestDB's own form, in which they may be written to."""
        self._connection.retry(lambda: _convert(self._connection.http(), days, "NATIVE"))

    def unpack_written(self, ticks: Sequence[pa.Table]) -> None:
        """Unpack what a write of whole trading days changes: days of old ticks and of new ones."""
        near = near_condition(*(key_of(day).trading_day for day in ticks))
        new = {at for day in ticks for at in pc.unique(day["ts"].cast(pa.date32())).to_pylist()}
        self.unpack_touched(near, new)

    def unpack_touched(self, where: str, days: Collection[date] = ()) -> None:
        """Unpack days with ticks for which `where` holds, and `days`."""
        http = self._connection.http()
        if packed := _list_days(http, packed=True):
            rows = http.rows(
                f"select timestamp_floor('d', ts) as day from {_TABLE} where {where} group by day"
            )
            touched = {date.fromisoformat(row["day"][:10]) for row in rows} | {*days}
            _convert(http, packed.keys() & touched, "NATIVE")


def _list_days(http: QuestdbHttp, *, packed: bool) -> dict[date, int]:
    rows = http.rows(f"select name, numRows, isParquet from table_partitions('{_TABLE}')")
    days: dict[date, int] = defaultdict(int)
    # parts of a split partition have a time in their names
    newest = max((row["name"][:10] for row in rows), default="")
    for row in rows:
        if row["isParquet"] is packed and row["name"][:10] < newest:
            days[date.fromisoformat(row["name"][:10])] += int(row["numRows"])
    return dict(sorted(days.items()))


def _convert(http: QuestdbHttp, days: Collection[date], form: Literal["PARQUET", "NATIVE"]) -> None:
    """Convert partitions, and wait until it is done; those in this form stay as they are."""
    for start in range(0, len(days), AT_ONCE):
        some = sorted(days)[start : start + AT_ONCE]
        http.rows(f"ALTER TABLE {_TABLE} CONVERT PARTITION TO {form} WHERE {_on(some)}")
        http.wait_applied(_TABLE, PATIENCE)


def _on(days: Collection[date]) -> str:
    return " or ".join(f"(ts >= '{day}' and ts < '{day + timedelta(1)}')" for day in sorted(days))
