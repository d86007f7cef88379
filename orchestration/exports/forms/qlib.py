"""qlib: the folder that `qlib.data` reads, with the day bars of shares, funds and indices.

    calendars/day.txt            the trading days, one a line
    instruments/all.txt          SH600000, first day, last day, separated by tabs
    instruments/csi300.txt       the same of an index's members: days on which they are known to be
    features/sh600000/close.day.bin
                                 little-endian floats of 32 bits: the place of the first day in the
                                 calendar, then a figure for each day from it on; NaN without a bar

Prices are those of the proportional method: $close = close x $factor, with the factor 1 on the
newest day, so returns are true and prices positive. $volume is divided by it, so that $close x
$volume is what was traded; $amount (yuan) and $change (from the close before) are as they were.
"""

import re
from datetime import date
from typing import Any

import numpy as np
import psycopg
import pyarrow as pa

from loaders.files.whole_file import unfinished
from orchestration.exports.definition import Definition
from orchestration.exports.folder import File, Files, Folder
from orchestration.exports.forms.form import Form, Plan
from orchestration.exports.parts import Part, name_file, require_names, stream_part
from orchestration.exports.source import Source, explaining, find_source
from quotemill.errors import UsageError
from quotemill.warehouse.postgres import Warehouse
from quotemill.warehouse.schemas import has_relation

ABOUT = "calendar and instruments"
TABLE = "kline_daily"
FIELDS = ("open", "high", "low", "close", "volume", "amount", "vwap", "factor", "change")
# by the names that the client's files have
POOLS = {"csi300": "沪深300", "csi500": "中证500", "csi1000": "中证1000"}
_PATTERN = re.compile(
    rf"calendars/day\.txt|instruments/(all|{'|'.join(POOLS)})\.txt"
    rf"|features/[^/]+/({'|'.join(FIELDS)})\.day\.bin"
)
_PRICES = ", ".join(f"b.{name}::float8 as {name}" for name in ("open", "high", "low", "close"))
_FIGURES = f"{_PRICES}, b.volume_shares::float8 as volume, b.amount_cny::float8 as amount"


def find_bars(conn: psycopg.Connection, warehouse: Warehouse, wanted: Definition) -> Source:
    """Day bars as traded, with the factor of their day. Raises UsageError for another table."""
    if wanted.what not in (TABLE, f"{warehouse.market_schema}.{TABLE}") or wanted.adjust != "none":
        raise UsageError(
            "qlib needs day bars as traded, and adjusts them with a factor",
            hint=f"Run `quotemill export {TABLE} --to qlib DIR`.",
        )
    market = warehouse.market_schema
    query = f"""
        select b.code, b.trade_date, {_FIGURES}, coalesce(s.ratio_factor, 1)::float8 as factor
        from {market}.{TABLE} as b
        left join {market}.adjustment_segments as s
            on b.code = s.code and b.trade_date >= s.valid_from and b.trade_date < s.valid_to
    """
    if has_relation(conn, f"{market}.index_kline_daily"):
        query += f"""
            union all
            select b.code, b.trade_date, {_FIGURES}, 1::float8 as factor
            from {market}.index_kline_daily as b
        """
    return find_source(conn, warehouse, wanted, query=query)


def plan(conn: psycopg.Connection, source: Source) -> Plan:
    """The codes with bars, with the texts beside them and the place of each day."""
    with explaining():
        query, values = source.select("code, min(trade_date), max(trade_date)", group="code")
        spans = conn.execute(query.encode(), values).fetchall()
        query, values = source.select("distinct trade_date")
        traded = {day for (day,) in conn.execute(query.encode(), values)}
        query = f"select trade_date from {source.market}.trading_calendar"
        days = sorted(
            traded
            | {
                day
                for (day,) in conn.execute(query.encode())
                if traded and min(traded) < day < max(traded)
            }
        )
    texts = {"calendars/day.txt": "".join(f"{day}\n" for day in days)}
    pools = {"all": spans} | _read_pools(conn, source, {code for code, _, _ in spans}, days)
    for name, members in pools.items():
        lines = (f"{code.upper()}\t{first}\t{last}\n" for code, first, last in sorted(members))
        texts[f"instruments/{name}.txt"] = "".join(lines)
    parts = require_names(Part(code, code) for code, _, _ in sorted(spans))
    places = {day: place for place, day in enumerate(days)}
    return Plan([*parts, Part(ABOUT, ABOUT)], (texts, places))


def _read_pools(
    conn: psycopg.Connection, source: Source, codes: set[str], days: list[date]
) -> dict[str, list[tuple[str, date, date]]]:
    """The spans of each index's members among some codes, up to the last of the days."""
    pools: dict[str, list[tuple[str, date, date]]] = {}
    if not days or not has_relation(conn, f"{source.market}.sector_members"):
        return pools
    query = f"""
        select distinct s.sector_name, m.code, m.valid_from, least(m.valid_to - 1, %s)
        from {source.market}.sector_members as m
        inner join {source.market}.sectors as s on m.sector_id = s.sector_id
        where s.sector_kind in ('index', 'special') and m.valid_from <= %s
    """
    names = {name: pool for pool, name in POOLS.items()}
    for name, *span in conn.execute(query.encode(), (days[-1], days[-1])):
        if name in names and span[0] in codes:
            pools.setdefault(names[name], []).append((span[0], span[1], span[2]))
    return pools


def _write_part(
    conn: psycopg.Connection, folder: Folder, source: Source, part: Part, plan: Plan
) -> Files:
    texts, places = plan.data
    if part.name == ABOUT:
        return {name: _write(folder, name, text.encode(), 0) for name, text in texts.items()}
    bars = stream_part(conn, source, part).read_all()
    place = np.array([places[day] for day in bars["trade_date"].to_pylist()])
    return {
        path: _write(folder, path, _encode(place, figures), bars.num_rows)
        for name, figures in _compute(bars).items()
        for path in [f"features/{name_file(part)}/{name}.day.bin"]
    }


def _compute(bars: pa.Table) -> dict[str, Any]:
    """The fields of a code by name, in the order of its bars."""
    raw = {
        name: bars[name].to_numpy().astype(np.float64)
        for name in ("open", "high", "low", "close", "volume", "amount", "factor")
    }
    factor = raw["factor"]
    fields = {name: raw[name] * factor for name in ("open", "high", "low", "close")}
    fields |= {"volume": raw["volume"] / factor, "amount": raw["amount"], "factor": factor}
    with np.errstate(divide="ignore", invalid="ignore"):
        vwap = np.where(raw["volume"] > 0, raw["amount"] / raw["volume"], np.nan) * factor
        change = fields["close"][1:] / fields["close"][:-1] - 1
    return fields | {"vwap": vwap, "change": np.concatenate([[np.nan], change])}


def _encode(place: Any, figures: Any) -> bytes:
    """The place of the first day, then the figures of each day from it to the last."""
    start = place[0]
    values = np.full(place[-1] - start + 2, np.nan, dtype="<f4")
    values[0] = start
    values[place - start + 1] = figures
    return values.tobytes()


def _write(folder: Folder, name: str, content: bytes, rows: int) -> File:
    path = unfinished(folder.make_path(name))
    with folder.usable():
        path.write_bytes(content)
    return folder.measure(name, rows)


FORM = Form(_PATTERN, plan, _write_part, find_bars)
