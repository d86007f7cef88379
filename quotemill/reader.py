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

# for this transaction; nodes of Citus let no role in that may not log in
_AS_READER = """
    select set_config('role', 'pg_read_all_data', true)
    where current_setting('is_superuser')::boolean
        and not exists (select 1 from pg_extension where extname = 'citus')
"""


class Reader(Bars, Tables, Futures, Options):
    """A warehouse that is open for reading; `quotemill.open` makes it.

    Use it in a `with` block, or call `close()`. Each reading is a read-only transaction of its own,
    so that a session of hours sees what was loaded meanwhile, and holds nothing up. Threads may
    share a reader.

    What the methods have in common:

    codes: one code or several, as people and other tools write them: `600000`, `600000.SH`,
        `sh600000`, `SHSE.600000`; None: the whole market. Columns have `sh600000`.
    start, end: days, both included: a date, `"2024-06-03"`, pandas.Timestamp, numpy.datetime64; of
        minutes and ticks also times: `"2024-06-03 10:30"` in the exchange's zone, or with a zone.
        None: from the first, to the newest. Midnight of pandas and numpy without a zone is the
        whole day; a time with a zone is an instant, which days refuse.
    columns: the name of one to read, or names; None: all
    on: one day, in place of start and end; count: only the last rows of each code, up to `end`
    exact: None: exact decimals, which `to_pandas()` makes doubles; True: decimals in pandas too;
        False: doubles everywhere, as by its older word `float=True`
    batches: a `pyarrow.RecordBatchReader`, to loop over rows that do not fit into memory
    Order: by code and time where codes are given. A whole market comes as it is stored.

    Raises `quotemill.Error`, with what to do about it: for an unknown code, column or word, a table
    that is not built yet, a warehouse that cannot be reached.
    """

    def changes(self, since: int = 0) -> Rows:
        """What changed after the change of this number: one row per table, key and span of days.

        change_no: remember the greatest. After 30 days changes are folded into one per table that
        says all of it changed (an empty key, no days); a restored warehouse counts from the start.
        """

        def choose(conn: psycopg.Connection) -> Query:
            from quotemill.readers.listed import require_built

            relation = f"{self._market}.changes"
            require_built(conn, relation)
            known = read_number(since, "since", "changes(0) are all")
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
        """The rows of any query; `params` for `%s` or `%(name)s` in it.

        A numeric of unknown precision, such as an average, is a text in Arrow: cast it
        (`avg(close)::numeric(18, 3)`), or ask for doubles by `exact=False`. A literal % is %% where
        there are `params`. A superuser reads as pg_read_all_data, without files and programs
        of the server; but a query may take its role back by `set_config`, so let nobody else write
        your queries.
        """

        def choose(conn: psycopg.Connection) -> Query:
            query = read_word(text, "query", "select 1")
            conn.execute(_AS_READER)
            is_known = params is None or isinstance(params, Mapping | Sequence)
            if is_known and not isinstance(params, str | bytes):
                return query, params
            raise UsageError(f"params {params!r} are no list and no dict", hint=f"[{params!r}]")

        return self._answer(choose, choose_exact(exact, float), batches)
