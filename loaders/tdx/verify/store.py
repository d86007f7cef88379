"""Queries of the spot checks after a load: by key, never by full scans."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

# fields of a day bar that both the service and the warehouse have, in the same units
BAR_FIELDS = ("open", "high", "low", "close", "amount")
# the rows of a key, which is a code but in these
_OF_CODE = "code = %(key)s"
_OF_KEY = {
    "index_kline": "code = split_part(%(key)s, ' ', 1) "
    "and period = coalesce(nullif(split_part(%(key)s, ' ', 2), ''), 'day')",
    "market_stats": "exchange = %(key)s",
}


@dataclass(frozen=True)
class Store:
    """Queries over one connection.

    market: the schema of the built relations.
    """

    conn: psycopg.Connection
    market: str

    def securities(self) -> dict[str, bool]:
        """Stored stocks and funds by code; True if still listed."""
        rows = self.conn.execute(
            "select code, is_listed from raw_tdx.security where instrument_type <> 'index'"
        )
        return dict(rows.fetchall())

    def instrument_types(self, codes: Sequence[str]) -> dict[str, str]:
        """The types of stored codes: stock, fund or index."""
        query = "select code, instrument_type from raw_tdx.security where code = any(%s)"
        return dict(self.conn.execute(query, (list(codes),)).fetchall())

    def built_codes(self) -> set[str] | None:
        """Codes of the stocks and funds in symbol_dim; None before the first build."""
        if not self.exists(self.market, "symbol_dim"):
            return None
        query = sql.SQL("select code from {} where instrument_type <> 'index'")
        built = query.format(sql.Identifier(self.market, "symbol_dim"))
        return {code for (code,) in self.conn.execute(built)}

    def loaded_codes(self) -> list[str]:
        """Codes of listed stocks and funds with a recorded load of day bars, ascending."""
        rows = self.conn.execute(
            "select s.key from ops.ingestion_state as s "
            "inner join raw_tdx.security as c on c.code = s.key "
            "where s.source = 'tdx' and s.dataset = 'kline_daily' "
            "and c.is_listed and c.instrument_type <> 'index' order by s.key"
        )
        return [code for (code,) in rows]

    def requested(self, keys: Sequence[str]) -> dict[str, list[str]]:
        """Those of `keys` that loads requested, by dataset; without those that never had a row.

        A key is a code, an index with its period (`sh000001 week`) or an exchange. Where a dataset
        has cursors, a key without one had no row: a code that a source does not have.
        """
        rows = self.conn.execute(
            "select t.dataset, array_agg(distinct k order by k) from ops.ingestion_jobs as j "
            "inner join ops.ingestion_job_tasks as t on t.job_id = j.job_id "
            "cross join unnest(t.keys) as k "
            "where j.source = 'tdx' and k = any(%s) and t.done + t.failed > 0 and ("
            "not exists (select from ops.ingestion_state as s "
            "where s.source = 'tdx' and s.dataset = t.dataset) "
            "or exists (select from ops.ingestion_state as s "
            "where s.source = 'tdx' and s.dataset = t.dataset and s.key = k)) "
            "group by t.dataset",
            (list(keys),),
        )
        return dict(rows.fetchall())

    def newest_day_bar(self, code: str) -> dict[str, Any] | None:
        """The newest final day bar: prices and amount in li, volume in units; or None."""
        with self.conn.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(
                "select trade_date, open, high, low, close, volume, amount, "
                "coalesce(volume_unit, 100) as unit "
                "from raw_tdx.kline_daily where code = %s and is_final "
                "order by trade_date desc limit 1",
                (code,),
            ).fetchone()

    def find_schema(self, relation: str) -> str | None:
        """The schema of a landed or a built relation; None if it is not built yet."""
        return next((s for s in ("raw_tdx", self.market) if self.exists(s, relation)), None)

    def present(self, schema: str, relation: str, keys: Sequence[str]) -> list[str]:
        """Those of `keys` that have a row in the relation."""
        row = sql.SQL("select exists (select 1 from {} where {})").format(
            sql.Identifier(schema, relation), sql.SQL(_OF_KEY.get(relation, _OF_CODE))
        )
        return [k for k in keys if self.conn.execute(row, {"key": k}).fetchone() == (True,)]

    def exists(self, schema: str, relation: str) -> bool:
        row = self.conn.execute(
            "select to_regclass(format('%%I.%%I', %s::text, %s::text)) is not null",
            (schema, relation),
        ).fetchone()
        return row == (True,)
