"""One market-data connection of the DIFF protocol, without input or output.

The client sends `{"aid": ...}` messages; the answers are lists of diffs. The server sends exactly
one packet for each `peek_message`: at once if it has diffs, else when the next ones appear.
`receive` takes a message, `next_packet` gives what may be sent now, `queue_news` adds what the
moved clock changes for subscriptions. Rules of charts, from recorded sessions:

- `state` repeats the request; a key that a later request of the chart drops comes back as null.
- A chart located by a stamp or a number is not clipped at the ends of the data: the client stops at
  the first number without a row, and would request a clipped window for ever.
- Newest rows first, at most 2,000 a packet, and the newest row of all in every packet.
"""

import contextlib
from collections import deque
from typing import Any

from loaders.sandbox.tq.instruments import describe_instrument, find_instruments, make_quote
from loaders.sandbox.tq.market import Market, Series
from loaders.sandbox.tq.replay import trading_day

Diff = dict[str, Any]

ROWS_PER_PACKET = 2000


class Session:
    def __init__(self, market: Market) -> None:
        self._market = market
        self._queue: deque[list[Diff]] = deque()
        self._peeked = False
        self._charts: dict[str, Diff] = {}
        self._quotes: dict[str, Diff] = {}  # as last sent
        self._newest: dict[str, tuple[int, Any]] = {}  # last number and row sent, by chart
        self._push({"account_id": "", "ins_list": "", "mdhis_more_data": False})

    def greeting(self) -> Diff:
        return {"aid": "rsp_login", "account_id": "", "session_id": "MDSESSION"}

    def receive(self, message: Diff) -> None:
        known = {
            "peek_message": self._peek,
            "ins_query": self._query,
            "subscribe_quote": self._subscribe,
            "set_chart": self._chart,
        }
        if (answer := known.get(message.get("aid", ""))) is not None:
            answer(message)

    def next_packet(self) -> Diff | None:
        if not self._peeked or not self._queue:
            return None
        self._peeked = False
        return {"aid": "rtn_data", "data": self._queue.popleft()}

    def _push(self, *diffs: Diff) -> None:
        self._queue.append([*diffs, {}])

    def _peek(self, message: Diff) -> None:  # noqa: ARG002
        self._peeked = True

    def _query(self, message: Diff) -> None:
        number, query = message["query_id"], message.get("query", "")
        if not query:  # frees the answer
            self._push({"symbols": {number: None}})
            return
        variables = message.get("variables") or {}
        # the client waits for an answer that contains its query
        answer = {"query_id": number, "query": query}
        try:
            nodes = find_instruments(self._market, query, variables)
            answer["result"] = {"multi_symbol_info": nodes}
        except KeyError as error:
            answer["error"] = f"no instrument {error}"
        if variables:
            answer["variables"] = variables
        self._push({"symbols": {number: answer}})

    def _subscribe(self, message: Diff) -> None:
        symbols = [symbol for symbol in message["ins_list"].split(",") if symbol]
        self._quotes = {symbol: make_quote(self._market, symbol) for symbol in symbols}
        self._push({"quotes": self._quotes}, {"ins_list": message["ins_list"]})

    def queue_news(self) -> None:
        """Queue new rows and quotes; a clock that went back removes nothing."""
        now = {symbol: make_quote(self._market, symbol) for symbol in self._quotes}
        if changed := {symbol: q for symbol, q in now.items() if q != self._quotes[symbol]}:
            self._quotes |= changed
            self._push({"quotes": changed})
        for name, message in self._charts.items():
            self._extend(name, message)

    def _extend(self, name: str, message: Diff) -> None:
        symbol, duration = _subject(message)
        if duration == 0 and self._market.is_frozen(symbol):
            return
        series = self._series(symbol, duration)
        sent, row = self._newest.get(name, (-1, None))
        last = series.last_id
        if sent < 0 <= last:  # there was nothing yet
            self._push_rows(name, message, dict(message), series)
            return
        if last < sent or (last, series.row(last)) == (sent, row):
            return
        self._newest[name] = (last, series.row(last))
        left, right = _window(message, series)
        # the newest bar may grow, a tick never changes
        first = max(left, sent if duration else sent + 1)
        for start in range(first, min(right, last) + 1, ROWS_PER_PACKET):
            block = series.rows(start, min(start + ROWS_PER_PACKET - 1, right, last))
            data = {str(number): row for number, row in block.items()}
            self._push(_wrap_rows(symbol, duration, {"data": data}))
        chart = {"charts": {name: {"left_id": left, "right_id": right}}}
        newest = {"last_id": last, "data": {str(last): series.row(last)}}
        self._push(_wrap_rows(symbol, duration, newest), chart)

    def _chart(self, message: Diff) -> None:
        name = message["chart_id"]
        if not message["ins_list"]:
            self._charts.pop(name, None)
            self._newest.pop(name, None)
            self._push({"charts": {name: None}})
            return
        symbol, duration = _subject(message)
        before = self._charts.get(name)
        state = {**dict.fromkeys(before or ()), **message}
        self._charts[name] = message
        series = self._series(symbol, duration)
        if before is None:
            self._push_empty_chart(message, state, more_data=True, ready=False)
        self._push_rows(name, message, state, series)

    def _push_empty_chart(
        self, message: Diff, state: Diff, *, more_data: bool, ready: bool
    ) -> None:
        flags = {"more_data": more_data, "ready": ready}
        chart = {"left_id": -1, "right_id": -1, "state": state, **flags}
        rows = _wrap_rows(*_subject(message), {"last_id": -1})
        charts: Diff = {"charts": {message["chart_id"]: chart}, "mdhis_more_data": more_data}
        self._push(charts | rows)

    def _series(self, symbol: str, duration: int) -> Series:
        known = describe_instrument(self._market, symbol) is not None
        return self._market.series(symbol, duration) if known else Series([])

    def _push_rows(self, name: str, message: Diff, state: Diff, series: Series) -> None:
        symbol, duration = _subject(message)
        self._newest[name] = (series.last_id, series.row(series.last_id))
        day = self._located_day(message)
        ready = self._market.faults.strike("never-ready", contract=symbol, day=day) is None
        if series.last_id < 0:
            self._push_empty_chart(message, state, more_data=False, ready=ready)
            return
        left, right = _window(message, series)
        newest = {str(series.last_id): series.row(series.last_id)}
        first, end = max(left, self._reach(message, series)), min(right, series.last_id)
        starts = range(end, first - 1, -ROWS_PER_PACKET) or (first - 1,)
        for n, top in enumerate(starts):
            last = n + 1 == len(starts)
            block = series.rows(max(first, top - ROWS_PER_PACKET + 1), top)
            data = {str(number): row for number, row in block.items()} | newest
            chart: Diff = {"more_data": not last, "ready": last and ready}
            tail: Diff = {"charts": {name: chart}, "mdhis_more_data": not last}
            if n == 0:
                chart |= {"left_id": left, "right_id": right, "state": state}
                tail |= _wrap_rows(symbol, duration, {"last_id": series.last_id})
            self._push(_wrap_rows(symbol, duration, {"data": data}), tail)

    def _reach(self, message: Diff, series: Series) -> int:
        """The number of the first of the newest ticks that the servers give."""
        rule = next(iter(self._market.faults.find_rules("reach")), None)
        is_newest = message.get("left_kline_id") is None and message.get("focus_datetime") is None
        if rule is None or _subject(message)[1] or not is_newest:
            return series.first_id
        return series.last_id - rule.integer("ticks") + 1

    def _located_day(self, message: Diff) -> str:
        """Trading day of a chart that is located by a stamp; "" for other charts."""
        stamp = message.get("focus_datetime")
        with contextlib.suppress(StopIteration):
            if stamp:
                return trading_day(int(stamp), self._market.world.calendar).isoformat()
        return ""


def _subject(message: Diff) -> tuple[str, int]:
    """Symbol and duration of a chart."""
    return message["ins_list"].split(",")[0], int(message["duration"])


def _wrap_rows(symbol: str, duration: int, content: Diff) -> Diff:
    if duration == 0:
        return {"ticks": {symbol: content}}
    return {"klines": {symbol: {str(duration): content}}}


def _window(message: Diff, series: Series) -> tuple[int, int]:
    width = int(message["view_width"])
    if message.get("left_kline_id") is not None:
        left = int(message["left_kline_id"])
    elif message.get("focus_datetime") is not None:
        left = series.locate(int(message["focus_datetime"])) - int(
            message.get("focus_position") or 0
        )
    else:
        left = series.last_id - width + 1
    return left, left + width - 1
