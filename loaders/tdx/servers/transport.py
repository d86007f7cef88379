"""The routes of the TDX service, of its build of November 2025, answered by the quote servers.

A client of the service then has the same answers, without what comes from other places: the
third-party page and the service's own counts.
"""

from collections.abc import Awaitable, Callable, Mapping
from datetime import date, datetime
from email.utils import format_datetime
from functools import partial
from typing import Any

import httpx
import orjson

from loaders.tdx.client.answers import BAR_FIELDS, EXCHANGES, NoRoute, UnknownCode
from loaders.tdx.client.answers_intraday import labels
from loaders.tdx.client.connection import longest
from loaders.tdx.client.routes_bars import INTRADAY_BARS
from loaders.tdx.servers import codec
from loaders.tdx.servers.codec import Bars, Listed, Quote, Ticks, WrongAnswer
from loaders.tdx.servers.frames import Server
from loaders.tdx.servers.pool import Pool
from loaders.tdx.settings import TdxSettings
from loaders.trading_time import SHANGHAI
from quotemill.instrument_ranges import COMPOSITE, classify_code, price_decimals

MOST_LISTED = 100_000  # codes of a market, several times the largest
FARTHEST = 65_535 - codec.BARS_PAGE  # where a page can begin
Params = Mapping[str, str]


class QuoteTransport(httpx.AsyncBaseTransport):
    """Answers requests by a pool of servers, which it closes with itself."""

    def __init__(self, settings: TdxSettings, now: Callable[[], datetime]) -> None:
        self.pool, self._now = Pool(settings), now
        self._days: list[date] | None = None
        self._lists: dict[str, list[Listed]] | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        route = request.url.path.removeprefix("/api/")
        if (answer := ROUTES.get(route)) is None:
            raise NoRoute(f"{route}: not available from quote servers")
        params = dict(request.url.params)
        if request.method == "POST":
            params["code"] = ",".join(orjson.loads(request.content)["codes"])
        content = {"code": 0, "message": "success", "data": await answer(self, params)}
        headers = {"Date": format_datetime(self._now())}
        return httpx.Response(200, headers=headers, content=orjson.dumps(content))

    async def aclose(self) -> None:
        await self.pool.close()

    async def kline_all(self, params: Params, *, is_index: bool = False) -> dict[str, Any]:
        rows = await self._bars(params, is_index=is_index)
        meta = {} if is_index else {"meta": {"source": "tdx", "type": params["type"]}}
        return {"count": len(rows), "list": rows} | meta

    async def kline_history(self, params: Params, *, is_index: bool = False) -> dict[str, Any]:
        rows = await self._bars(params, is_index=is_index)
        return {"Count": len(rows), "List": rows}

    async def minute(self, params: Params) -> dict[str, Any]:
        code, text = params["code"], params["date"]

        async def read(server: Server) -> list[dict[str, Any]]:
            asked = codec.ask_past_minutes(code, _parse(text))
            body = await server.ask(codec.PAST_MINUTES, asked)
            prices, volumes = codec.read_past_minutes(body)
            if len(prices) > len(clocks := labels("minute1")):
                raise WrongAnswer(f"minutes: {len(prices)} in a day")
            rows = zip(clocks, (prices * 10).tolist(), volumes.tolist(), strict=False)
            return [{"Time": at, "Price": li, "Number": hands} for at, li, hands in rows]

        rows = await self.pool.use(f"minute {code}", read)
        return {"Count": len(rows), "List": rows, "date": text}

    async def minute_trade_all(self, params: Params) -> dict[str, Any]:
        day = _parse(params["date"]) if "date" in params else None
        ticks = await self._ticks(params["code"], day)
        rows = _list_ticks(day or self._today, ticks)
        return {"Count": len(rows), "List": rows}

    async def trade_history_full(self, params: Params) -> dict[str, Any]:
        first, last = _parse(params["start_date"]), _parse(params["end_date"])
        rows, covered = list[dict[str, Any]](), list[str]()
        for day in self._days or await self._calendar():
            if not first <= day <= last or day >= self._today:
                continue
            ticks = _list_ticks(day, await self._ticks(params["code"], day))
            covered += [f"{day:%Y%m%d}"] if ticks else []
            rows += [
                {name.lower(): value for name, value in row.items()}
                | {"price": row["Price"] / 1000}
                for row in ticks
            ]
        limit = int(params.get("limit", 0))
        rows, is_cut = rows[: limit or len(rows)], 0 < limit < len(rows)
        return {
            "code": params["code"],
            "start_date": str(first),
            "end_date": str(last),
            "covered_dates": covered,
            "limit": limit,
            "truncated": is_cut,
            "count": len(rows),
            "list": rows,
        }

    async def quote(self, params: Params) -> list[dict[str, Any]]:
        codes = params["code"].split(",")

        async def read(server: Server) -> list[Quote]:
            return codec.read_quotes(await server.ask(codec.QUOTES, codec.ask_quotes(codes)))

        quotes = await self.pool.use(f"quotes of {codes[0]}", read)
        known = {(quote.market, quote.digits): quote for quote in quotes}
        try:
            return [_show(code, known[codec.MARKETS[code[:2]], code[2:]]) for code in codes]
        except KeyError as missing:
            raise UnknownCode(f"quotes: no quote of {missing}") from None

    async def codes(self, params: Params) -> dict[str, Any]:
        rows = await self._listed("stock", params)
        return {"total": len(rows), "codes": rows}

    async def etf(self, params: Params) -> dict[str, Any]:
        rows = await self._listed("fund", params)
        return {"total": len(rows), "list": rows}

    async def market_count(self, _: Params) -> dict[str, Any]:
        async def read(server: Server) -> list[int]:
            asked = [codec.ask_count(codec.MARKETS[e], self._today) for e in EXCHANGES]
            return [codec.read_count(await server.ask(codec.COUNT, body)) for body in asked]

        counts = await self.pool.use("market-count", read)
        rows = [{"exchange": e, "count": n} for e, n in zip(EXCHANGES, counts, strict=True)]
        return {"total": sum(counts), "exchanges": rows}

    async def workday(self, params: Params) -> dict[str, Any]:
        before = [day for day in await self._calendar() if day < self._today]
        newest = before[: -int(params["count"]) - 1 : -1]
        return {"date": _workday(self._today), "previous": [_workday(day) for day in newest]}

    async def workday_range(self, params: Params) -> dict[str, Any]:
        first, last = _parse(params["start"]), _parse(params["end"])
        rows = [_workday(day) for day in await self._calendar() if first <= day <= last]
        return {"count": len(rows), "list": rows}

    @property
    def _today(self) -> date:
        return self._now().astimezone(SHANGHAI).date()

    async def _calendar(self) -> list[date]:
        rows = await self._bars({"code": COMPOSITE, "type": "day"}, is_index=True)
        self._days = [date.fromisoformat(row["Time"][:10]) for row in rows]
        return self._days

    async def _bars(self, params: Params, *, is_index: bool) -> list[dict[str, Any]]:
        code, period = params["code"], params["type"]
        limit = int(params.get("limit") or INTRADAY_BARS)
        if "limit" not in params and period not in codec.TIMED:
            limit = FARTHEST

        async def read(server: Server) -> list[Bars]:
            pages, start = list[Bars](), 0
            while start < min(limit, FARTHEST):
                count = min(codec.BARS_PAGE, limit - start)
                asked = codec.ask_bars(code, period, start, count)
                body = await server.ask(codec.BARS, asked)
                pages.append(codec.read_bars(body, period, is_index=is_index))
                start += (came := len(pages[-1].times))
                if came > count:
                    raise WrongAnswer(f"{code} {period}: {came} bars, not {count}")
                if came < count:
                    break
            return pages[::-1]

        pages = await self.pool.use(f"{period} bars of {code}", read)
        return [row for page in pages for row in _list_bars(page, period, is_index=is_index)]

    async def _ticks(self, code: str, day: date | None) -> list[Ticks]:
        command, size = codec.TICKS, codec.TICKS_PAGE
        if day is not None:
            command, size = codec.PAST_TICKS, codec.PAST_TICKS_PAGE

        async def read(server: Server) -> list[Ticks]:
            pages, start, came = list[Ticks](), 0, size
            while came == size and start < FARTHEST:
                body = await server.ask(command, codec.ask_ticks(code, start, size, day))
                pages.append(codec.read_ticks(body, is_past=day is not None))
                start += (came := len(pages[-1].minute))
                if came > size:
                    raise WrongAnswer(f"{code}: {came} ticks, not {size}")
            return pages[::-1]

        return await self.pool.use(f"ticks of {code}", read)

    async def _listed(self, kind: str, params: Params) -> list[dict[str, str]]:
        if self._lists is None:
            self._lists = {e: await self._list(e) for e in EXCHANGES}
        listed = [
            {"code": row.digits, "exchange": exchange, "name": row.name}
            for exchange, rows in self._lists.items()
            if params["exchange"] in ("all", exchange)
            for row in rows
            if classify_code(exchange + row.digits) == kind
        ]
        return listed[: int(params.get("limit", len(listed)))]

    async def _list(self, exchange: str) -> list[Listed]:
        async def read(server: Server) -> list[Listed]:
            rows = list[Listed]()
            while len(rows) < MOST_LISTED:
                asked = codec.ask_list(codec.MARKETS[exchange], len(rows))
                page = codec.read_list(await server.ask(codec.LIST, asked))
                if not page:
                    break
                rows += page
            if not rows:
                raise WrongAnswer(f"the list of {exchange} is empty")
            return rows

        what = f"list of {exchange}"
        return await longest(lambda: self.pool.use(what, read), codec.LIST_PAGE)


def _parse(text: str) -> date:
    return datetime.strptime(text, "%Y%m%d").date()


def _workday(day: date) -> dict[str, str]:
    return {"iso": day.isoformat(), "numeric": f"{day:%Y%m%d}"}


def _list_bars(bars: Bars, period: str, *, is_index: bool) -> list[dict[str, Any]]:
    """Bars in the service's units: li, and hands of whole bars."""
    volume = bars.volume.astype("i8")
    if period in codec.TIMED:
        volume = volume // 100
    volume = volume * 100 if is_index else volume
    prices = (bars.open, bars.high, bars.low, bars.close)
    numbers = (*prices, volume, (bars.amount * 1000).astype("i8"), bars.up, bars.down, volume * 0)
    rows = zip(bars.times, *(column.tolist() for column in numbers), strict=True)
    return [dict(zip(BAR_FIELDS, row, strict=True)) for row in rows]


def _list_ticks(day: date, pages: list[Ticks]) -> list[dict[str, Any]]:
    names = ("Price", "Volume", "Status", "Number")
    rows = []
    for page in pages:
        columns = (page.price * 10, page.volume, page.side, page.orders)
        for minute, *values in zip(page.minute.tolist(), *map(list, columns), strict=True):
            at = f"{day}T{minute // 60:02}:{minute % 60:02}:00+08:00"
            rows.append({"Time": at} | dict(zip(names, map(int, values), strict=True)))
    return rows


def _show(code: str, quote: Quote) -> dict[str, Any]:
    """A quote in the service's fields, its prices in li."""
    unit = 1 if price_decimals(code, classify_code(code) or "stock") == 3 else 10

    def levels(pairs: list[tuple[int, int]], *, buy: bool) -> list[dict[str, Any]]:
        return [{"Buy": buy, "Price": price * unit, "Number": hands} for price, hands in pairs]

    k = ("Last", quote.previous), ("Open", quote.open), ("High", quote.high), ("Low", quote.low)
    return {
        "Exchange": quote.market,
        "Code": quote.digits,
        "Active1": quote.active1,
        "K": {name: price * unit for name, price in (*k, ("Close", quote.close))},
        "ServerTime": str(quote.time),
        "TotalHand": quote.volume,
        "Intuition": quote.current,
        "Amount": quote.amount,
        "InsideDish": quote.inside,
        "OuterDisc": quote.outside,
        "BuyLevel": levels(quote.bids, buy=True),
        "SellLevel": levels(quote.asks, buy=False),
        "Active2": quote.active2,
    }


ROUTES: dict[str, Callable[[QuoteTransport, Params], Awaitable[Any]]] = {
    "kline-all": QuoteTransport.kline_all,
    "kline-history": QuoteTransport.kline_history,
    "index": partial(QuoteTransport.kline_history, is_index=True),
    "index/all": partial(QuoteTransport.kline_all, is_index=True),
    "minute": QuoteTransport.minute,
    "minute-trade-all": QuoteTransport.minute_trade_all,
    "trade-history/full": QuoteTransport.trade_history_full,
    "quote": QuoteTransport.quote,
    "batch-quote": QuoteTransport.quote,
    "codes": QuoteTransport.codes,
    "etf": QuoteTransport.etf,
    "market-count": QuoteTransport.market_count,
    "workday": QuoteTransport.workday,
    "workday/range": QuoteTransport.workday_range,
}
