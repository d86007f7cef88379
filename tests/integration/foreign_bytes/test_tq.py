"""Of arbitrary lines and answers of the futures client: a result or an error of ours."""

import io
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loaders.tq.client import answers, process
from tests.integration.foreign_bytes.arbitrary import ODD_TEXTS, altered, damaged, fails_as_ours

GOOD_TQ: dict[str, tuple[Callable[[Any], object], Any]] = {
    "instruments": (
        answers.instruments,
        {
            "contracts": [
                {"contract": "SHFE.cu2601", "expire_date": "2026-01-15", "price_tick": 10}
            ],
            "sessions": {"SHFE.cu": [["day", 0, 32400, 36900]]},
            "seen_at": {"SHFE.cu": 1_750_000_000_000_000_000},
            "left_out": [],
        },
    ),
    "quote": (answers.quote, {"contract": "SHFE.cu2601", "quoted_at": 1, "margin": "1.5"}),
    "licence": (
        answers.licence,
        {"features": ["tq_dl"], "account_type": "a", "days_left": 1, "ends": "2026-01-15"},
    ),
    "main_events": (
        answers.main_events,
        {"route": "history", "first_day": "2026-01-15", "last_day": None, "events": [[1, "x"]]},
    ),
    "days": (answers.days, ["2026-01-15"]),
    "moment": (answers.moment, 1_750_000_000_000_000_000),
    "settlements": (answers.settlements, [["2026-01-15", "1.5"]]),
    "heads": (answers.heads, {"SHFE.cu": ["SHFE.cu2601", 1_750_000_000_000_000_000]}),
}


@pytest.mark.parametrize("name", GOOD_TQ)
@given(data=st.data())
def test_answers_of_the_futures_client(name: str, data: st.DataObject) -> None:
    parse, good = GOOD_TQ[name]
    answer = data.draw(altered(good))
    fails_as_ours(lambda: parse(answer))


@given(
    damaged(b'{"result": {"a": [1, 2]}}\n') | ODD_TEXTS.map(lambda t: t.encode(errors="replace"))
)
def test_lines_of_the_futures_client(line: bytes) -> None:
    fails_as_ours(lambda: process._parse(line, "the response to login"))


@given(data=st.data())
def test_tables_of_the_futures_client(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    good = io.BytesIO()
    stamps = [1_750_000_000_000_000_000]
    pq.write_table(pa.table({"datetime": stamps, "open": [data.draw(st.floats())]}), good)
    path = tmp_path_factory.getbasetemp() / "foreign.parquet"
    path.write_bytes(data.draw(st.just(good.getvalue()) | damaged(good.getvalue())))
    fails_as_ours(lambda: answers.minute_table(path))
