"""Of arbitrary answers of QuestDB, JSON or Parquet: a result or an error of ours."""

import io
import json
from collections.abc import Iterator

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quotemill.ticks.questdb_http import Address, QuestdbHttp
from tests.integration.foreign_bytes.arbitrary import altered, damaged, fails_as_ours


@pytest.fixture(scope="module")
def questdb() -> Iterator[tuple[QuestdbHttp, list[httpx.Response]]]:
    http, queue = QuestdbHttp(Address("http://q:9000")), list[httpx.Response]()
    http._client = httpx.Client(
        base_url="http://q:9000", transport=httpx.MockTransport(lambda _: queue.pop())
    )
    yield http, queue
    http.close()


GOOD_ROWS = {"columns": [{"name": "n", "type": "LONG"}], "dataset": [["1"]]}


@given(data=st.data())
def test_answers_of_questdb(
    questdb: tuple[QuestdbHttp, list[httpx.Response]], data: st.DataObject
) -> None:
    http, queue = questdb
    rows = json.dumps(data.draw(altered(GOOD_ROWS))).encode()
    table = io.BytesIO()
    pq.write_table(pa.table({"n": [1, 2]}), table)
    status = data.draw(st.sampled_from([200, 400, 500]))
    for call, content in (
        (http.rows, data.draw(st.just(rows) | damaged(rows))),
        (http.table, data.draw(damaged(table.getvalue()))),
    ):
        queue.append(httpx.Response(status, content=content))
        fails_as_ours(lambda call=call: call("select 1"))  # type: ignore[misc]
