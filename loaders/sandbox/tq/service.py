"""The simulated servers of TqSdk: log-in, holidays, main contracts, market data.

Everything is one aiohttp application on 127.0.0.1. Only the sandbox's own account can log in, and
only a client with one of its tokens gets market data.
"""

import asyncio
import base64
import json
import secrets
import time
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import orjson
from aiohttp import WSMsgType, web

from loaders.sandbox.faults import FaultPlan, Rule
from loaders.sandbox.server.http_server import port_error
from loaders.sandbox.server.loop_thread import LoopThread
from loaders.sandbox.server.sandbox import Sandbox
from loaders.sandbox.tq.exchange import Exchange, Row
from loaders.sandbox.tq.faults import CATALOGUE, read_time
from loaders.sandbox.tq.market import Market
from loaders.sandbox.tq.session import Session
from loaders.sandbox.tq.world import World
from loaders.sandbox.world.clock import parse_clock

if TYPE_CHECKING:
    import pyarrow as pa

FEATURES = ("futr", "lmt_idx", "tq_dl", "tq_bt")
LOG_SIZE = 20_000
EXAMPLE = "2025-12-12"  # of a clock, in hints
NO_BACKTEST = {"x-shinny-auth-check": "Backtest Permission Denied"}
REALM = "/auth/realms/shinnytech"


@dataclass(frozen=True)
class Entry:
    """A request.

    what  token, grant, holidays, main-table, settlements, connect, backtest, receive, send, drop
    """

    what: str
    detail: str
    faults: tuple[str, ...] = ()


@dataclass(eq=False)
class _Connection:
    """A connection for market data; `sent` counts packets, which leave one after another.

    A large one is compressed in a thread: without `sending` a smaller one would overtake it.
    """

    session: Session
    socket: web.WebSocketResponse
    transport: asyncio.Transport | None
    sent: int = 0
    sending: asyncio.Lock = field(default_factory=asyncio.Lock)


class TqSandbox(Sandbox):
    """The servers over `world` from entering to leaving the context.

    `clock` is a date (18:00), a date-time or an ISO text of exchange time; it stands still until
    `set_clock`. Ports 0 pick free ones; without `control_port` there is no control port. `faults`
    are rules or their texts.
    """

    log: deque[Entry]

    def __init__(
        self,
        world: Exchange | None = None,
        faults: Iterable[Rule | str] = (),
        clock: date | datetime | str | None = None,
        *,
        port: int = 0,
        control_port: int | None = None,
        account: str = "sandbox",
        password: str = "sandbox-password",
    ) -> None:
        super().__init__(FaultPlan(CATALOGUE, faults), deque(maxlen=LOG_SIZE), control_port)
        self.world: Exchange = world or World()
        start = self.world.end if clock is None else parse_clock(clock, EXAMPLE)
        self.market = Market(self.world, self.faults, start)
        self._account, self._password = account, password
        self._port = port
        self._backtests = 0
        self._tokens: set[str] = set()
        self._connections: set[_Connection] = set()
        self._thread = LoopThread("tq-sandbox", self._serve)

    @property
    def clock(self) -> datetime:
        return self.market.clock

    def set_clock(self, clock: date | datetime | str) -> None:
        """Move the clock; open connections get what is new by then, or end in maintenance."""
        self.market.set_clock(parse_clock(clock, EXAMPLE))
        self._thread.spawn(self._send_news())

    def _find_maintenance(self) -> Rule | None:
        """The rule of a maintenance that is going on."""
        now = self.clock.time()
        return next(
            (
                rule
                for rule in self.faults.find_rules("maintenance")
                if read_time(rule.option("from")) <= now < read_time(rule.option("until"))
            ),
            None,
        )

    def settings(self) -> dict[str, Any]:
        """Values of the section [tq] that connect a loader to these servers."""
        return {
            "account": self._account,
            "password": self._password,
            "varieties": list(self.world.varieties),
            "start": self.world.first.isoformat(),
            "sandbox": self.url,
        }

    def schedule(self, variety: str) -> list[tuple[date, str | None]]:
        """The main contract of each trading day up to the clock, revisions included."""
        market = self.market
        days = [day for day in self.world.days if day <= market.today]
        return [(day, market.main_on(variety, day)) for day in days]

    def ticks(self, contract: str, trading_day: date) -> list[Row]:
        """Rows of the wire that the servers hold of a contract-day, revisions included."""
        return self.market.day_ticks(contract, trading_day, damaged=False)

    def tick_table(self, contract: str, trading_day: date) -> "pa.Table":
        """The same as Arrow: `datetime_ns`, all fields as float64, absent levels null."""
        import pyarrow as pa

        rows = self.ticks(contract, trading_day)
        names = ["last_price", "highest", "lowest", "average", "volume", "amount", "open_interest"]
        for level in range(1, 6):
            names += [f"{s}_{what}{level}" for s in ("bid", "ask") for what in ("price", "volume")]
        columns = {"datetime_ns": pa.array([row["datetime"] for row in rows], pa.int64())}
        for name in names:
            values = [row.get(name) for row in rows]
            columns[name] = pa.array([None if v == "" else v for v in values], pa.float64())
        return pa.table(columns)

    def open(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._thread.stop()

    async def _serve(self) -> None:
        app = web.Application()
        app.add_routes(self._routes())
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await runner.setup()
        try:
            await self._listen(runner)
            await self._thread.wait_until_stopped()
        finally:
            await runner.cleanup()

    async def _listen(self, runner: web.AppRunner) -> None:
        try:
            await web.TCPSite(runner, "127.0.0.1", self._port).start()
        except OSError as error:
            raise port_error(self._port, error) from error
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"

    def _routes(self) -> list[web.RouteDef]:
        return [
            web.post(f"{REALM}/protocol/openid-connect/token", self._token),
            web.get(f"{REALM}/rest/get-grant/tq", self._grant),
            web.put(f"{REALM}/rest/update-grant-accounts/{{account}}", self._grant),
            web.get("/holidays.json", self._holidays),
            web.get("/cont_table.json", self._main_table),
            web.get("/mss", self._settlements),
            web.get("/ns", self._name_service),
            web.get("/md", self._market_data),
        ]

    async def _token(self, request: web.Request) -> web.StreamResponse:
        form = await request.post()
        rule = self.faults.strike("auth")
        self._record("token", " ".join(str(form.get(n)) for n in ("grant_type", "username")), rule)
        if rule:
            return web.json_response({"error": "invalid_grant"}, status=rule.integer("status"))
        given = (form.get("username"), form.get("password"))
        fresh = form.get("grant_type") == "refresh_token"
        if given != (self._account, self._password) and not fresh:
            refusal = {"error": "invalid_grant", "error_description": "用户名或密码错误"}
            return web.json_response(refusal, status=401)
        token = self._new_token()
        return web.json_response(
            {"access_token": token, "refresh_token": "r", "token_type": "bearer"}
        )

    def _new_token(self) -> str:
        lacking = {rule.option("feature") for rule in self.faults.find_rules("permission")}
        claims = {
            "sub": "sandbox-user",
            "exp": int(time.time()) + 86_400,
            "jti": secrets.token_hex(8),
            "grants": {"features": [f for f in FEATURES if f not in lacking], "accounts": ["*"]},
        }
        parts = [json.dumps(part).encode() for part in ({"alg": "HS256", "typ": "JWT"}, claims)]
        parts.append(secrets.token_bytes(32))
        token = b".".join(base64.urlsafe_b64encode(p).rstrip(b"=") for p in parts).decode()
        self._tokens.add(token)
        return token

    async def _grant(self, _: web.Request) -> web.StreamResponse:
        rule = self.faults.strike("licence")
        self._record("grant", "", rule)
        if rule and rule.integer("status") != web.HTTPOk.status_code:
            return web.Response(text="<html>error</html>", status=rule.integer("status"))
        days = rule.integer("days") if rule else 365
        document = {
            "exp": int(time.time()) + days * 86_400,
            "daysleft": days,
            "account_type": rule.option("type") if rule else "sandbox",
        }
        document.pop(rule.option("without") if rule else "", None)
        return web.json_response(document)

    async def _holidays(self, _: web.Request) -> web.StreamResponse:
        rule = self.faults.strike("holidays")
        self._record("holidays", "", rule)
        return _error_page(rule) or web.json_response(
            [day.isoformat() for day in self.world.holidays]
        )

    async def _main_table(self, _: web.Request) -> web.StreamResponse:
        rule = self.faults.strike("main-table")
        self._record("main-table", "", rule)
        table = {
            variety: [
                [day.strftime("%Y%m%d"), code] for day, code in self.market.main_table(variety)
            ]
            for variety in self.world.varieties
            if not self.faults.find_rules("no-mains", variety=variety)
        }
        return _error_page(rule) or web.json_response(table)

    async def _settlements(self, request: web.Request) -> web.StreamResponse:
        rule = self.faults.strike("settlements")
        self._record("settlements", request.query_string, rule)
        first = datetime.strptime(request.query["start_date"], "%Y%m%d").date()
        days = [day for day in self.market.settled_days() if day >= first]
        if rule and not rule.integer("status") and request.transport:
            request.transport.abort()
        return _error_page(rule) or web.json_response(
            {
                day.strftime("%Y%m%d"): {
                    symbol: self.market.settlement(symbol, day)
                    for symbol in request.query["symbols"].split(",")
                }
                for day in days[: int(request.query["days"])]
            }
        )

    async def _name_service(self, request: web.Request) -> web.StreamResponse:
        if rule := self._find_maintenance():
            return web.Response(status=rule.integer("status"))
        backtest = request.query.get("backtest", "false")
        return web.json_response({"mdurl": f"ws://{request.host}/md?backtest={backtest}"})

    async def _market_data(self, request: web.Request) -> web.StreamResponse:
        rule = self.faults.strike("ws") or self._find_maintenance()
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        self._record("connect", "", rule)
        if rule or token not in self._tokens:
            return web.Response(status=rule.integer("status") if rule else 403)
        if request.query.get("backtest") == "true":
            self._backtests += 1
            if spent := self.faults.strike("backtests", request=self._backtests):
                self._record("backtest", str(self._backtests), spent)
                return web.Response(status=403, headers=NO_BACKTEST)
            self._record("backtest", str(self._backtests))
        socket = web.WebSocketResponse(max_msg_size=0)
        try:
            await socket.prepare(request)
            await self._talk(request, socket)
        except ConnectionResetError:
            pass  # the client left in the middle of an answer
        return socket

    async def _talk(self, request: web.Request, socket: web.WebSocketResponse) -> None:
        connection = _Connection(Session(self.market), socket, request.transport)
        await socket.send_json(connection.session.greeting())
        self._connections.add(connection)
        try:
            async for message in socket:
                if message.type != WSMsgType.TEXT:
                    break
                document = json.loads(message.data)
                if document.get("aid") != "peek_message":
                    self._record("receive", message.data)
                connection.session.receive(document)
                if not await self._send_packets(connection):
                    return
        finally:
            self._connections.discard(connection)

    async def _send_news(self) -> None:
        for connection in list(self._connections):
            if self._find_maintenance():
                if connection.transport is not None:
                    connection.transport.abort()
                continue
            connection.session.queue_news()
            with suppress(ConnectionResetError):  # the client left meanwhile
                await self._send_packets(connection)

    async def _send_packets(self, connection: "_Connection") -> bool:
        """Send what may be sent now; False if a fault ended the connection."""
        async with connection.sending:
            while (packet := connection.session.next_packet()) is not None:
                if slow := self.faults.strike("slow"):
                    await asyncio.sleep(float(slow.option("seconds")))
                await connection.socket.send_str(orjson.dumps(packet).decode())
                connection.sent += 1
                keys = {key for diff in packet["data"] for key in diff}
                self._record("send", ",".join(sorted(keys)))
                if rule := self.faults.strike("disconnect", request=connection.sent):
                    self._record("drop", str(connection.sent), rule)
                    if connection.transport is not None:
                        connection.transport.abort()
                    return False
                if rule := self.faults.strike("close", request=connection.sent):
                    self._record("drop", str(connection.sent), rule)
                    await connection.socket.close(code=1000)
                    return False
        return True

    def _record(self, what: str, detail: str, *rules: Rule | None) -> None:
        self.log.append(Entry(what, detail, tuple(str(rule) for rule in rules if rule)))

    def describe(self) -> dict[str, object]:
        return {"trading_day": self.market.today.isoformat(), "requests": len(self.log)}


def _error_page(rule: Rule | None) -> web.Response | None:
    if rule is None:
        return None
    return web.Response(
        text="<html>error</html>", content_type="text/html", status=rule.integer("status")
    )
