"""The servers around the market: token, licence, holidays, table of main contracts, market data.

Everything is one aiohttp application on 127.0.0.1; a second port steers it. Only the account it was
given comes in, and only who has one of its tokens gets market data.
"""

import asyncio
import base64
import json
import secrets
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Self

import orjson
from aiohttp import WSMsgType, web

from loaders.errors import QuotemillError, UsageError
from loaders.sandbox.loop_thread import LoopThread
from loaders.sandbox.tq.exchange import Exchange, Row
from loaders.sandbox.tq.faults import FaultPlan
from loaders.sandbox.tq.market import Market
from loaders.sandbox.tq.session import Session
from loaders.sandbox.tq.world import World
from loaders.sandbox.world.clock import moment
from loaders.sandbox.world.fault_plan import Rule

if TYPE_CHECKING:
    import pyarrow as pa

FEATURES = ("futr", "lmt_idx", "tq_dl", "tq_bt")
KEPT_ENTRIES = 20_000
EXAMPLE = "2025-12-12"  # of a clock, in hints
REALM = "/auth/realms/shinnytech"
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Entry:
    """A request: `what` is token, grant, holidays, main-table, connect, receive, send, drop."""

    what: str
    detail: str
    faults: tuple[str, ...] = ()


@dataclass(eq=False)
class _Connection:
    """For market data; `sent` counts packets."""

    session: Session
    socket: web.WebSocketResponse
    transport: asyncio.Transport | None
    sent: int = 0


class TqSandbox:
    """The servers over `world` from entering to leaving the context.

    `clock` is a date (its end), a date-time or an ISO text of exchange time; it stands still until
    `set_clock`. Ports 0 are picked; without `control_port` there is no control server. `faults` holds
    the rules (see faults.py), `log` what was asked.
    """

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
        self.world: Exchange = world or World()
        self.faults = FaultPlan(faults)
        start = self.world.end if clock is None else moment(clock, EXAMPLE)
        self.market = Market(self.world, self.faults, start)
        self.log: deque[Entry] = deque(maxlen=KEPT_ENTRIES)
        self._account, self._password = account, password
        self._port, self._control_port = port, control_port
        self._tokens: set[str] = set()
        self._connections: set[_Connection] = set()
        self.url = self.control_url = ""
        self._thread = LoopThread("tq-sandbox", self._serve)

    # ------------------------------------------------------------------ for tests
    @property
    def clock(self) -> datetime:
        return self.market.clock

    def set_clock(self, clock: date | datetime | str) -> None:
        """Open connections get what is new by then."""
        self.market.set_clock(moment(clock, EXAMPLE))
        self._thread.begin(self._stir())

    def settings(self) -> dict[str, Any]:
        """What a section [tq] of the settings needs to come here."""
        host = self.url.partition("://")[2]
        return {
            "account": self._account,
            "password": self._password,
            "varieties": list(self.world.varieties),
            "start": self.world.first.isoformat(),
            "auth_url": self.url,
            "md_url": f"ws://{host}/md",
            "holiday_url": f"{self.url}/holidays.json",
            "cont_table_url": f"{self.url}/cont_table.json",
        }

    def schedule(self, variety: str) -> list[tuple[date, str | None]]:
        """The main contract of each trading day up to the clock, revisions included."""
        market = self.market
        days = [day for day in self.world.days if day <= market.today]
        return [(day, market.main_on(variety, day)) for day in days]

    def ticks(self, contract: str, trading_day: date) -> list[Row]:
        """What the servers hold of a contract-day (revisions included): rows of the wire."""
        return self.market.day_ticks(contract, trading_day, damaged=False)

    def tick_table(self, contract: str, trading_day: date) -> "pa.Table":
        """The same as Arrow: `datetime_ns` and all fields as float64, levels that are not there null."""
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

    # ------------------------------------------------------------------ life
    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.stop()

    async def _serve(self) -> None:
        runners = [await self._open(self._service_routes(), self._port)]
        self.url = f"http://127.0.0.1:{runners[0].addresses[0][1]}"
        if self._control_port is not None:
            runners.append(await self._open(self._control_routes(), self._control_port))
            self.control_url = f"http://127.0.0.1:{runners[1].addresses[0][1]}"
        try:
            await self._thread.until_stopped()
        finally:
            for runner in runners:
                await runner.cleanup()

    async def _open(self, routes: list[web.RouteDef], port: int) -> web.AppRunner:
        app = web.Application()
        app.add_routes(routes)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", port).start()
        except OSError as error:
            await runner.cleanup()
            raise UsageError(
                f"port {port} cannot be opened: {error.strerror}", hint="--port 0 picks a free one"
            ) from error
        return runner

    def _service_routes(self) -> list[web.RouteDef]:
        return [
            web.post(f"{REALM}/protocol/openid-connect/token", self._token),
            web.get(f"{REALM}/rest/get-grant/tq", self._grant),
            web.put(f"{REALM}/rest/update-grant-accounts/{{account}}", self._grant),
            web.get("/holidays.json", self._holidays),
            web.get("/cont_table.json", self._main_table),
            web.get("/ns", self._name_service),
            web.get("/md", self._market_data),
        ]

    # ------------------------------------------------------------------ HTTP
    async def _token(self, request: web.Request) -> web.StreamResponse:
        form = await request.post()
        rule = self.faults.strike("auth")
        self._note("token", " ".join(str(form.get(n)) for n in ("grant_type", "username")), rule)
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
        lacking = {rule.option("feature") for rule in self.faults.standing("permission")}
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
        self._note("grant", "")
        document = {
            "exp": int(time.time()) + 365 * 86_400,
            "daysleft": 365,
            "account_type": "sandbox",
        }
        return web.json_response(document)

    async def _holidays(self, _: web.Request) -> web.StreamResponse:
        rule = self.faults.strike("holidays")
        self._note("holidays", "", rule)
        return _page(rule) or web.json_response([day.isoformat() for day in self.world.holidays])

    async def _main_table(self, _: web.Request) -> web.StreamResponse:
        rule = self.faults.strike("main-table")
        self._note("main-table", "", rule)
        table = {
            variety: [
                [day.strftime("%Y%m%d"), code] for day, code in self.market.main_table(variety)
            ]
            for variety in self.world.varieties
            if not self.faults.standing("no-mains", variety=variety)
        }
        return _page(rule) or web.json_response(table)

    async def _name_service(self, request: web.Request) -> web.StreamResponse:
        return web.json_response({"mdurl": f"ws://{request.host}/md"})

    # ------------------------------------------------------------------ WebSocket
    async def _market_data(self, request: web.Request) -> web.StreamResponse:
        rule = self.faults.strike("ws")
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        self._note("connect", "", rule)
        if rule or token not in self._tokens:
            return web.Response(status=rule.integer("status") if rule else 403)
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
                    self._note("receive", message.data)
                connection.session.receive(document)
                if not await self._answer(connection):
                    return
        finally:
            self._connections.discard(connection)

    async def _stir(self) -> None:
        for connection in list(self._connections):
            connection.session.stir()
            with suppress(ConnectionResetError):  # the client left meanwhile
                await self._answer(connection)

    async def _answer(self, connection: "_Connection") -> bool:
        """Send what may be sent now; False where a fault ended the connection."""
        while (packet := connection.session.next_packet()) is not None:
            if slow := self.faults.strike("slow"):
                await asyncio.sleep(float(slow.option("seconds")))
            await connection.socket.send_str(orjson.dumps(packet).decode())
            connection.sent += 1
            self._note("send", ",".join(sorted({key for diff in packet["data"] for key in diff})))
            if rule := self.faults.strike("disconnect", met=connection.sent):
                self._note("drop", str(connection.sent), rule)
                if connection.transport is not None:
                    connection.transport.abort()
                return False
            if rule := self.faults.strike("close", met=connection.sent):
                self._note("drop", str(connection.sent), rule)
                await connection.socket.close(code=1000)
                return False
        return True

    def _note(self, what: str, detail: str, *rules: Rule | None) -> None:
        self.log.append(Entry(what, detail, tuple(str(rule) for rule in rules if rule)))

    # ------------------------------------------------------------------ control
    def _control_routes(self) -> list[web.RouteDef]:
        return [web.route("*", "/{route}", self._control)]

    async def _control(self, request: web.Request) -> web.StreamResponse:
        """Steers the sandbox: GET state, log, faults; POST clock, faults; DELETE faults, log."""
        try:
            document = json.loads(await request.text() or "{}")
            shown = self._steer(request.method, request.match_info["route"], document)
        except (QuotemillError, ValueError, KeyError) as error:
            refused = {"error": str(error), "hint": getattr(error, "hint", "")}
            return web.json_response(refused, status=400)
        return web.json_response(shown)

    def _steer(self, method: str, route: str, document: dict[str, Any]) -> dict[str, object]:
        if (method, route) == ("POST", "clock"):
            self.set_clock(str(document["clock"]))
        elif (method, route) == ("POST", "faults"):
            self.faults.add(str(document["fault"]))
        elif (method, route) == ("DELETE", "faults"):
            self.faults.clear()
        elif (method, route) == ("DELETE", "log"):
            self.log.clear()
        elif (method, route) == ("GET", "log"):
            return {"log": [asdict(entry) for entry in self.log]}
        elif (method, route) not in (("GET", "state"), ("GET", "faults")):
            raise UsageError(f"no control {method} /{route}", hint=str(self._control.__doc__))
        return {
            "clock": self.clock.isoformat(),
            "trading_day": self.market.today.isoformat(),
            "faults": [str(rule) for rule in self.faults.rules],
            "requests": len(self.log),
        }


def _page(rule: Rule | None) -> web.Response | None:
    if rule is None:
        return None
    return web.Response(
        text="<html>error</html>", content_type="text/html", status=rule.integer("status")
    )
