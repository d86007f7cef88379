"""Pages of prices: the candles of a security, and charts of bars."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import urlencode

import psycopg
import pyarrow as pa

from loaders.engine import job_list
from loaders.tdx.settings import TdxSettings
from loaders.trading_time import SHANGHAI
from orchestration.console.context import Console
from orchestration.console.pages import search
from orchestration.console.pages.site import add_or_explain
from orchestration.console.pages.words import mark
from quotemill.errors import UsageError
from quotemill.readers import klines, securities
from quotemill.readers.klines import Adjustment, Frequency, Security
from quotemill.readers.securities import Named

SOURCE = "tdx"
SHOWN = 250  # rows of a table
# days that surely hold as many bars
SPANS = {"1d": 420, "1w": 2000, "1mo": 9000, "1m": 6, "5m": 16, "15m": 35, "30m": 60, "60m": 110}
# days whose bars fit into one answer, of the frequencies of which all may not
FITTING = {"1m": 1150, "5m": 5750}
LEAST = 2  # decimals of a price in yuan
PIECE = 4  # such spans are loaded by a chart at once
Values = Mapping[str, Any]


@dataclass(frozen=True)
class Chart:
    """The values that the script of a chart starts from.

    address: answers with rows as JSON, for `start` and `end`
    time, volume: names of columns
    first, last: days of the oldest and the newest bar
    until: the newest day in view at first
    step: days of one piece
    digits: decimals of a price beside the axis
    least: decimals that a price has in any case
    ahead: seconds that the clocks of the exchange are ahead of UTC
    """

    address: str
    time: str
    volume: str
    first: date
    last: date
    until: date
    step: int
    digits: int
    least: int = 0
    ahead: int = int(SHANGHAI.utcoffset(None).total_seconds())


@dataclass(frozen=True)
class Absence:
    """Why there is no bar, and what to do about it.

    day: what the text is about
    before: what to do before the command, if anything
    command: loads or builds some
    load: the same as fields of a form; empty for a build
    page: where it is done in place of a command: address, label
    """

    text: str
    day: date | None = None
    before: str = ""
    command: str = ""
    load: Mapping[str, str] = field(default_factory=dict)
    page: tuple[str, str] | None = None


def explain_nothing(console: Console, source: str, page: tuple[str, str]) -> dict[str, Any]:
    """Why a page has nothing of a source to choose from; `page` loads it."""
    newest = console.read_any(job_list.newest_jobs) or []
    job = next((job for job in newest if job["source"] == source), None)
    if job is None:
        absent = Absence(f"nothing of {source} was loaded yet", page=page)
    elif job["status"] in ("succeeded", "partial"):
        absent = Absence(mark("not built"), command="quotemill build")
    else:
        text = f"load {job['job_id']} of {source} {job['status']}"
        absent = Absence(text, page=(f"/jobs/{job['job_id']}", mark("load")))
    return {"title": "", "absent": absent}


def gather_klines(
    console: Console,
    code: str = "",
    freq: Frequency = "1d",
    adjust: Adjustment = "qfq",
    end: date | None = None,
    sector: str = "",
) -> dict[str, Any]:
    """Bars up to a day, their chart, the actions among all bars.

    A text that is no code shows what it may mean; the security that it alone can mean is shown at
    once. Bars that are not kept so are shown as they are kept, with a `note`; where there is no
    bar, `absent` says why.
    """
    values: dict[str, Any] = {
        "code": code,
        "freq": freq,
        "adjust": adjust,
        "end": end,
        "frequencies": klines.FREQUENCIES,
        "adjustments": klines.ADJUSTMENTS,
        "rows": [],
        "actions": [],
        "note": "",
        "absent": None,
        "chart": None,
        "text": "",
        "found": [],
        "sectors": [],
        "members": [],
        "kinds": {},
        "error": None,
    }
    if not code.strip():
        return add_or_explain(values, lambda: gather_start(console, sector))

    def read(conn: psycopg.Connection) -> dict[str, Any]:
        market = console.require_warehouse().market_schema
        try:
            security = klines.find_security(conn, market, code)
        except UsageError:
            meant = search.search_names(conn, market, code)
            codes, sectors = meant["found"], meant["sectors"]
            if not (codes or sectors):
                raise
            if len(codes) > 1 or sectors:
                return {**meant, "span": None}
            security = klines.find_security(conn, market, codes[0].key)
        ways = klines.list_adjustments(security, freq)
        way = adjust if adjust in ways else ways[0]
        note = (
            "" if way == adjust else f"{klines.explain_adjustments(security)}, so adjust is {way}"
        )
        span = klines.find_span(conn, market, security, freq, way)
        absent = (
            None if span else explain_absence(conn, market, security, freq, console.settings().tdx)
        )
        actions = (
            klines.read_actions(conn, market, security.code, *span).to_pylist() if span else []
        )
        return {
            "name": security.name,
            "code": security.code,
            "adjust": way,
            "note": note,
            "span": span,
            "absent": absent,
            "title": f"{security.code} {security.name or ''}".strip(),
            "actions": [
                {"day": str(action["ex_date"]), "text": _describe_action(action)}
                for action in actions
            ],
        }

    def draw() -> dict[str, Any]:
        about: dict[str, Any] = console.read(read)
        if about["span"] is None:
            return about
        way = about["adjust"]
        drawn = draw_bars(
            f"/api/klines/{about['code']}?{urlencode({'freq': freq, 'adjust': way})}",
            partial(gather_bars, console, about["code"], freq, way),
            freq,
            about["span"],
            end,
            volume="volume_shares",
            least=LEAST,
        )
        first, last = about["span"]
        fitting = last - timedelta(days=FITTING[freq]) if freq in FITTING else first
        return about | drawn | {"file_start": max(first, fitting)}

    return add_or_explain(values, draw)


def explain_absence(
    conn: psycopg.Connection, market: str, security: Security, freq: Frequency, tdx: TdxSettings
) -> Absence:
    """Why a security has no bar of a length."""
    if freq in klines.MINUTES[1:] and klines.find_span(conn, market, security, "1m", "none"):
        return Absence(mark("not built"), command="quotemill build")
    is_of_minutes = freq in klines.MINUTES and not security.is_index
    if is_of_minutes and (
        last := securities.find_end(conn, market, security.code, tdx.minute_days)
    ):
        return Absence(
            f"it last traded on {last}; minute bars are only available for the last "
            f"{tdx.minute_days} trading days"
        )
    text = mark("minute bars are not loaded") if is_of_minutes else mark("day bars are not loaded")
    load = {"source": SOURCE, "datasets": "minute_1m" if is_of_minutes else "kline_daily"}
    load |= {"datasets": "index_kline"} if security.is_index else {"codes": security.code}
    options = f"--dataset {load['datasets']} --codes {load.get('codes', '')}"
    command = f"quotemill load {SOURCE} {options}".removesuffix(" --codes ")
    has_files_alone = not tdx.has_service and tdx.client is not None
    before = mark(
        "The folder only has what the client has downloaded. Download the data in the client first."
    )
    return Absence(text, before=before if has_files_alone else "", command=command, load=load)


def gather_start(console: Console, sector: str) -> dict[str, Any]:
    """What the search begins with: the members of a sector, or all sectors."""
    warehouse = console.find_warehouse()
    page = ("/load", mark("Choose a source and start the first load"))
    if warehouse is None:
        return explain_nothing(console, SOURCE, page)
    market = warehouse.market_schema
    if not console.read(lambda conn: securities.has_any(conn, market)):
        return explain_nothing(console, SOURCE, page)
    if sector:
        members = console.read(lambda conn: securities.list_members(conn, market, sector))
        return {"members": members}
    kinds: dict[str, list[Named]] = {}
    for row in console.read(lambda conn: securities.list_sectors(conn, market)):
        kinds.setdefault(row.kind, []).append(row)
    return {"kinds": kinds}


def gather_bars(
    console: Console, code: str, freq: Frequency, adjust: Adjustment, start: date, end: date
) -> dict[str, Any]:
    """The bars of some days, as the table of a page has them."""

    def read(conn: psycopg.Connection) -> pa.Table:
        market = console.require_warehouse().market_schema
        security = klines.find_security(conn, market, code)
        return klines.read_klines(
            conn, market, security, freq=freq, adjust=adjust, start=start, end=end
        )

    time = "bar_end" if freq in klines.MINUTES else "trade_date"
    return cut_rows(console.read(read), time)


def cut_rows(table: pa.Table, time: str) -> dict[str, Any]:
    """The newest rows of a table, with moments in Shanghai's time, and how many there are besides.

    time: the column of days, or of moments
    """
    more = max(0, table.num_rows - SHOWN)
    rows = table.slice(more).to_pylist()
    for row in rows:
        if isinstance(row[time], datetime):
            row[time] = row[time].astimezone(SHANGHAI)
    return {"rows": rows, "more": more, "time": time}


def draw_bars(
    address: str,
    gather: Callable[[date, date], dict[str, Any]],
    freq: Frequency,
    span: tuple[date, date],
    end: date | None,
    *,
    volume: str,
    least: int = 0,
) -> dict[str, Any]:
    """The bars up to a day, which `gather` reads, and their chart; `absent` before the first one.

    address, volume, least: see Chart
    span: the days of the oldest and the newest bar
    """
    first, last = span
    if end and end < first:
        return {"absent": Absence(mark("before the first bar"), first)}
    until = min(end or last, last)
    shown = gather(date.fromordinal(max(1, until.toordinal() - SPANS[freq])), until)
    chart = Chart(
        address,
        time=shown["time"],
        volume=volume,
        first=first,
        last=last,
        until=until,
        step=PIECE * SPANS[freq],
        digits=max(least, _count_decimals(shown["rows"])),
        least=least,
    )
    return shown | {"more": 0, "chart": chart}


def _count_decimals(rows: list[Values]) -> int:
    """As many decimals as the prices of some rows need, of which an axis shows at most four."""
    closes = [row["close"].normalize() for row in rows if row["close"] is not None]
    return min(4, max((-close.as_tuple().exponent for close in closes), default=0))


def _describe_action(action: Values) -> str:
    parts = {
        "cash": action["cash_per10_yuan"],
        "bonus": action["bonus_total_per10"],
        "rights": action["rights_per10"],
    }
    said = [f"{name} {value.normalize():f}/10" for name, value in parts.items() if value]
    if action["split_ratio"]:
        said.append(f"split {action['split_ratio'].normalize():f}")
    return f"{action['ex_date']}: {', '.join(said) or action['source']}"
