"""The recorder's program: how much it writes, holds in memory, and how long it may be silent."""

import json
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

from loaders.tq.client.program.live import FILES, live
from loaders.tq.client.program.session import Session
from loaders.tq.client.program.ticks import TICK_FIELDS

HELD = 5  # ticks of a chart
MOST_UPDATES = 1_000
NS = 10**9


class Ended(Exception):
    """The parent ends the program."""


class Api:
    """The client in a market that moves with each update; it has one each time."""

    def __init__(self) -> None:
        self.updates = 0
        self.charts: dict[str, pd.DataFrame] = {}
        self._data: dict[str, Any] = {"ticks": {}}
        self._pre20_ins_info: dict[str, Any] = {}

    def query_graphql(self, query: str, _: Any) -> dict[str, Any]:
        [codes] = re.findall(r"instrument_id: (\[.*?\])", query)
        nodes = [{"instrument_id": code, "price_tick": 1.0} for code in json.loads(codes)]
        return {"result": {"multi_symbol_info": nodes}}

    def query_cont_quotes(self, exchange_id: str, product_id: str) -> list[str]:
        return [f"{exchange_id}.{product_id}2601"]

    def get_tick_serial(self, code: str, data_length: int) -> pd.DataFrame:
        assert data_length
        numbers = range(1, HELD + 1)
        names = ("id", "datetime", *TICK_FIELDS)
        frame = pd.DataFrame({name: [float(n) for n in numbers] for name in names})
        frame["datetime"] *= NS
        self.charts[code] = frame
        self._data["ticks"][code] = {"data": {str(number): {} for number in numbers}}
        return frame

    def wait_update(self, deadline: float) -> bool:
        self.updates += 1
        assert self.updates < MOST_UPDATES, "the update that comes in any case has no end"
        assert deadline
        for code, frame in self.charts.items():
            frame["id"] += 1
            frame["datetime"] += NS
            self._data["ticks"][code]["data"][str(int(frame["id"].iloc[-1]))] = {}
        return True


def record(count: int, folder: Path, turns: int) -> tuple[Session, list[dict[str, Any]], list[int]]:
    """Record contracts until as many items came; what was sent, and how many were written by then.

    The files that were written are deleted at each item.
    """
    sent: list[dict[str, Any]] = []
    written: list[int] = []

    def send(message: dict[str, Any]) -> None:
        sent.append(message)
        if "item" not in message:
            return
        files = list(folder.glob("*/*.parquet"))
        written.append(len(files))
        if len(written) == turns:
            raise Ended
        for file in files:
            file.unlink()

    session = Session({"account": "", "password": ""}, send)
    session._api = Api()
    varieties = [f"SHFE.v{'abcdefghijklmnopqrstuvwxyz'[n]}" for n in range(count)]
    with pytest.raises(Ended):
        live(session, varieties, "2025-10-23", 0, str(folder), flush=0.001)
    return session, sent, written


def test_ticks_that_are_in_a_file_leave_the_memory(tmp_path: Path) -> None:
    session, *_ = record(1, tmp_path, turns=5)
    held = [int(number) for number in session.ticks_in_memory("SHFE.va2601")]
    [file] = tmp_path.glob("*/*.parquet")
    # the last one stays: the client reads it again
    assert held == pq.read_table(file)["id"].to_pylist()[-1:]


def test_the_files_of_many_contracts_are_written_in_turn(tmp_path: Path) -> None:
    _, sent, written = record(25, tmp_path, turns=5)
    assert written == [25, FILES, FILES, FILES, FILES]
    assert len(sent[-1]["item"]) == 25
    # a sign of life for each: one that never comes takes minutes
    assert sum("progress" in message for message in sent) == 25


def test_a_client_that_is_too_slow_still_writes(tmp_path: Path) -> None:
    *_, written = record(2, tmp_path, turns=3)
    assert written == [2, 2, 2]
