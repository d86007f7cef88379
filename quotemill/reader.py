"""The warehouse as a reader sees it: methods that return rows, and change nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import psycopg

from quotemill.errors import UsageError
from quotemill.methods.answers import Answer, reading
from quotemill.methods.arguments import read_number, read_word
from quotemill.methods.bars import Bars
from quotemill.methods.futures import Futures
from quotemill.methods.options import Options
from quotemill.methods.session import Query, choose_exact
from quotemill.methods.tables import Tables
from quotemill.rows import Rows
from quotemill.warehouse.connections import AS_READER


class Reader(Bars, Tables, Futures, Options):
    """A warehouse that is open for reading, as `quotemill.open` returns it.

    Use it in a `with` block, or call `close()`. Each call is a read-only transaction of its own, so
    a long session sees new data as it is loaded and never blocks a load. Threads can share a
    reader.

    Arguments that the methods have in common:

    codes: one code or several, in any common form: `600000`, `600000.SH`, `sh600000`,
        `SHSE.600000`. None reads the whole market. Columns contain `sh600000`.
    start, end: first and last day, both included: a date, `"2024-06-03"`, pandas.Timestamp or
        numpy.datetime64. For minutes and ticks you can add a time, `"2024-06-03 10:30"`, in the
        exchange's zone or with a zone of its own. None: from the oldest row, to the newest.
        Midnight without a zone means the whole day in pandas and numpy. A time with a zone is
        always an instant, which tables that only have days refuse.
    columns: name of one column, or several names. None reads all.
    on: one day, instead of start and end
    count: only the last rows of each code, up to `end`
    exact: None: exact decimals, which `to_pandas()` converts to float64; True: decimals in pandas
        too; False: doubles everywhere (`float=True` is the older form)
    batches: True returns a `pyarrow.RecordBatchReader` to loop over, if the rows don't fit into
        memory

    Rows are ordered by code and time if you pass codes. A whole market comes in storage order.

    Raises `quotemill.Error` with a fix, for example for an unknown code, column or value, a table
    that is not built yet, or an unreachable warehouse.
    """

    def changes(self, since: int = 0) -> Rows:
        """Read what changed since a number: one row per table, code and date range.

        since: greatest change_no that you have processed. 0 reads all changes.

        Returns change_no, table_name, key, first_changed_date, last_changed_date, … in order of
        change_no. Remember the greatest one for the next call. After 30 days, a table's changes are
        merged into one row without key and dates: everything may have changed. A restored warehouse
        starts counting again.
        """

        def choose(conn: psycopg.Connection) -> Query:
            from quotemill.readers.listed import require_built

            relation = f"{self._market}.changes"
            require_built(conn, relation)
            known = read_number(since, "since", "call changes(0) for all changes")
            return f"select * from {relation} where change_no > %s order by change_no", (known,)

        return self._read(choose)

    @reading
    def sql(
        self,
        batches: bool,
        text: str,
        params: Mapping[str, Any] | Sequence[Any] | None = None,
        *,
        exact: bool | None = None,
        float: bool = False,
    ) -> Answer:
        """Run a query and return its rows.

        text: a select. Write `%s` or `%(name)s` for values from `params`, and then `%%` for a
            literal %.
        params: list or dict of these values

            >>> market.sql("select close from market.kline_daily where code = %s", ["sh600000"])

        A numeric without a precision, such as an average, is text in Arrow. Cast it
        (`avg(close)::numeric(18, 3)`), or get doubles with `exact=False`. A superuser reads as
        pg_read_all_data, without access to the server's files and programs. A query can take its
        role back with `set_config`, so only run queries that you trust.
        """

        def choose(conn: psycopg.Connection) -> Query:
            query = read_word(text, "query", "select 1")
            conn.execute(AS_READER)
            is_known = params is None or isinstance(params, Mapping | Sequence)
            if is_known and not isinstance(params, str | bytes):
                return query, params
            raise UsageError(
                f"params must be a list or a dict, not {params!r}", hint=f"Pass [{params!r}]."
            )

        return self._answer(choose, choose_exact(exact, float), batches)
