"""Queries of the spot checks after a load: by key, never by full scans."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

# fields of a day bar that both the service and the warehouse have, in the same units
BAR_FIELDS = ("open", "high", "low", "close", "amount")


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

    def requested(self, keys: Sequence[str]) -> dict[str, set[str]]:
        """Those of `keys` that loads requested, by dataset.

        A key is a code, an index with its period (`sh000001 week`) or an exchange.
        """
        rows = self.conn.execute(
            "select t.dataset, array_agg(distinct k) from ops.ingestion_jobs as j "
            "inner join ops.ingestion_job_tasks as t on t.job_id = j.job_id "
            "cross join unnest(t.keys) as k where j.source = 'tdx' and k = any(%s) "
            "group by t.dataset",
            (list(keys),),
        )
        return {dataset: set(loaded) for dataset, loaded in rows}

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

    def nth_newest_day(self, number: int) -> date | None:
        """The `number`th newest trading day; None if the calendar is shorter."""
        row = self.conn.execute(
            "select trade_date from raw_tdx.trading_day where source = 'service' "
            "order by trade_date desc offset %s limit 1",
            (number - 1,),
        ).fetchone()
        return row[0] if row else None

    def newest_minute_day(self, code: str) -> date | None:
        """The newest day with a minute of the code; None without minutes."""
        row = self.conn.execute(
            "select trade_date from raw_tdx.kline_minute where code = %s "
            "order by bar_end desc limit 1",
            (code,),
        ).fetchone()
        return row[0] if row else None

    def index_periods(self, code: str) -> dict[str, str]:
        """Stored periods of an index, each with its newest day."""
        rows = self.conn.execute(
            "select period, max(trade_date) from raw_tdx.index_kline where code = %s "
            "group by period order by period",
            (code,),
        )
        return {period: day.isoformat() for period, day in rows}

    def codes_in(self, schema: str, relation: str, codes: Sequence[str]) -> list[str]:
        """Those of `codes` that have a row in the relation."""
        query = sql.SQL("select exists (select 1 from {} where code = %s)").format(
            sql.Identifier(schema, relation)
        )
        return [c for c in codes if self.conn.execute(query, (c,)).fetchone() == (True,)]

    def exchanges_of_stats(self) -> dict[str, str]:
        """The time of the newest row in market_stats, by exchange."""
        rows = self.conn.execute(
            "select exchange, max(sampled_at) from raw_tdx.market_stats group by exchange"
        )
        return {exchange: at.isoformat() for exchange, at in rows}

    def exists(self, schema: str, relation: str) -> bool:
        row = self.conn.execute(
            "select to_regclass(format('%%I.%%I', %s::text, %s::text)) is not null",
            (schema, relation),
        ).fetchone()
        return row == (True,)
