"""The seam between loader and client library: what a load can request of a gateway.

Everything is synchronous: an event loop in a thread holds a connection that comes and goes, and a
request runs on it while the caller waits. Pauses are spent in the caller's thread, so that the loop
never sleeps and a test needs no time.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from loaders.ib.client import contract_details, daily_bars, quotes
from loaders.ib.client.clocks import compare_clocks
from loaders.ib.client.daily_bars import DailyBar, Dividends
from loaders.ib.client.error_codes import CLOCK_OFF, read_codes
from loaders.ib.client.event_loop import cancel_tasks, close_connection
from loaders.ib.client.events import EventLog
from loaders.ib.client.history_budget import HistoryBudget
from loaders.ib.client.library import check_client
from loaders.ib.client.quotes import Batch, Stamp
from loaders.ib.client.ticker import Patience, has_level, has_quote, read_line
from loaders.ib.client.values import (
    ApiEvent,
    Candidate,
    ChainParams,
    Clock,
    OpenInterest,
    OptionContract,
    PreviousClose,
    Probe,
    Qualified,
    Quote,
    SecType,
    Sleep,
    Underlying,
    machine_clock,
)
from loaders.ib.errors import ClientIdInUse, GatewayGone
from loaders.ib.settings import IbSettings
from loaders.requests.counts import count
from quotemill.errors import QuotemillError, SettingsError

if TYPE_CHECKING:
    from loaders.ib.client.ib_client import Connection

T = TypeVar("T")
CONNECT_SECONDS = 10.0  # for a gateway beside the load to let it in
CLIENT_IDS = 5  # tried from client_id on, one for each lane
SANDBOX_ACCOUNT = "DUSANDBOX"
FROZEN, DELAYED_OR_FROZEN = 2, 4  # market data types


@contextmanager
def open_gateway(
    settings: IbSettings,
    *,
    clock: Clock | None = None,
    sleep: Sleep = time.sleep,
    cancelling: Callable[[], bool] = lambda: False,
    first_waits: Sequence[float] = (),
) -> Iterator["Gateway"]:
    """A gateway for as long as the context lasts; nothing is opened before the first request.

    `clock` (UTC) and `sleep` stand in for those of the machine. A first connection is tried again
    after each of `first_waits`; one that was lost at once, and then after each of
    `settings.retry_waits`. `cancelling` ends pauses early. Raises SettingsError without a host,
    IbMissing.
    """
    if settings.host is None:
        raise SettingsError(
            "no IB gateway is configured",
            hint="Set IB_HOST, or host in the section [ib] of quotemill.toml.",
        )
    check_client()
    read_codes()
    gateway = Gateway(settings, clock, sleep, cancelling, first_waits)
    try:
        yield gateway
    finally:
        gateway.close()


class Gateway:
    """A connection that is opened at the first request and again after it was lost.

    Every method raises GatewayGone, ClientIdInUse or IbMissing where no connection can be had. A
    connection that breaks within `qualify`, `quotes` or `open_interest` raises nothing: the rows
    that it cost come back as failures (`gateway_gone`), the others as they are, and the next
    request connects again. Pauses after lost connections are `settings.retry_waits`.
    """

    def __init__(
        self,
        settings: IbSettings,
        clock: Clock | None,
        sleep: Sleep,
        cancelling: Callable[[], bool],
        first_waits: Sequence[float],
    ) -> None:
        self._settings, self._clock, self._first_waits = settings, clock, first_waits
        self._sleep, self._cancelling = sleep, cancelling
        self._connection: Connection | None = None
        self._was_open = False
        self._client_id: int | None = None
        self._rate = settings.messages_per_second
        self._server_time: datetime | None = None
        self.history = HistoryBudget()
        self._log = EventLog(self._event_time)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, name="ib", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Leave the gateway and end the thread."""
        self.reconnect()
        self._run(cancel_tasks())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)  # the library uses the loop of its thread
        self._loop.run_forever()

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def _request(self, request: "Callable[[Connection], Coroutine[Any, Any, T]]") -> T:
        """The answer, of a new connection where the open one proves to be silent."""
        connection = self._open()
        try:
            return self._run(request(connection))
        except GatewayGone:
            if not connection.is_silent:
                raise
        return self._run(request(self._open()))

    def _open(self) -> "Connection":
        """The open connection, or a new one. Raises GatewayGone, ClientIdInUse."""
        if self._connection is not None and self._connection.is_open:
            return self._connection
        self.reconnect()
        waits = self._settings.retry_waits if self._was_open else self._first_waits
        for wait in (*waits, None):
            try:
                self._connection = self._run(self._connect())
                self._was_open = True
                return self._connection
            except GatewayGone:
                if wait is None or not self._pause(wait):
                    raise
                count("retries")
        raise AssertionError("the last try raises")

    async def _connect(self) -> "Connection":
        from loaders.ib.client.ib_client import ClientIdTaken, Connection

        s = self._settings
        pool = range(s.client_id, s.client_id + CLIENT_IDS)
        ids = dict.fromkeys([self._client_id or s.client_id, *pool])
        for client_id in ids:
            connection = Connection(self._on_message, self._rate)
            try:
                patience = min(CONNECT_SECONDS, s.timeout)
                await connection.open(s.host or "", s.port, client_id, patience)
            except ClientIdTaken:
                continue
            self._client_id = client_id
            compares = self._clock is None and s.clock == "machine" and not self._was_open
            if compares and (why := await compare_clocks(connection, machine_clock, s.timeout)):
                self._log.add(-1, CLOCK_OFF, why, None)
            if self._clock is None and s.clock == "gateway":
                try:
                    self._log.restamp(await self._read_time(connection))
                except GatewayGone:
                    connection.close()
                    raise
            return connection
        taken = ", ".join(map(str, ids))
        raise ClientIdInUse(
            f"all configured client ids are in use: {taken}",
            hint="Wait a minute, or set ib.client_id to another number. Another load is "
            "running, or the gateway still holds the connection of a killed one.",
        )

    def reconnect(self) -> None:
        """Leave the connection; the next request opens a new one without any state."""
        connection, self._connection = self._connection, None
        if connection is not None:
            self._rate = min(self._rate, connection.messages_per_second)
            self._run(close_connection(connection))

    def _pause(self, seconds: float) -> bool:
        """False if the load is being cancelled."""
        if not self._cancelling():
            self._sleep(seconds)
        return not self._cancelling()

    def now(self) -> datetime:
        """UTC: the injected clock, else the one that `settings.clock` names."""
        if self._clock is not None:
            return self._clock()
        return self.server_time() if self._settings.clock == "gateway" else machine_clock()

    def server_time(self) -> datetime:
        """The gateway's clock, UTC, whole seconds."""
        return self._request(self._read_time)

    async def _read_time(self, connection: "Connection") -> datetime:
        self._server_time = await connection.server_time(self._settings.timeout)
        return self._server_time

    async def _stamping(self, connection: "Connection") -> Stamp:
        """Times of packets: by the machine's clock; another clock is read once for a batch."""
        if self._clock is not None:
            time_read = self._clock()
        elif self._settings.clock == "gateway":
            try:
                time_read = await self._read_time(connection)
            except GatewayGone:
                time_read = self._server_time or machine_clock()
        else:
            return lambda at: at
        return lambda _: time_read

    def _event_time(self) -> datetime | None:
        """The time without a request, since the gateway is speaking; None: not known yet."""
        if self._clock is not None:
            return self._clock()
        return self._server_time if self._settings.clock == "gateway" else machine_clock()

    def _on_message(self, number: int, code: int, message: str, conid: int | None) -> None:
        self._log.add(number, code, message, conid)

    def take_events(self) -> list[ApiEvent]:
        """Messages since the last call, oldest first."""
        return self._log.take()

    def source(self) -> str:
        """Origin of the rows: IBKR, or SANDBOX where the gateway is one."""
        return "SANDBOX" if SANDBOX_ACCOUNT in self._open().accounts else "IBKR"

    def probe(self, symbol: str, sec_type: SecType = "STK", exchange: str = "") -> Probe:
        """Test the connection and the data of an underlying. Raises UnknownUnderlying."""
        underlying = self.find_underlying(symbol, sec_type, exchange)
        requested = self._settings.market_data_type
        server_time, here = self.server_time(), machine_clock()

        async def read(connection: "Connection") -> Probe:
            connection.use_data_type(requested)
            reading = await read_line(
                connection,
                underlying.conid,
                has_level if underlying.is_index else has_quote,
                self._patience(None),
                snapshot=True,
                route=underlying.route,
            )
            return Probe(
                server_version=connection.server_version,
                client_id=connection.client_id,
                accounts=len(connection.accounts),
                symbol=symbol,
                requested_type=requested,
                served_type=reading.data_type,
                server_time=server_time,
                clock_difference=timedelta(seconds=round((server_time - here).total_seconds())),
                time_zone=connection.time_zone or "unknown",
                events=tuple(self._log.seen()),
                failure=reading.failure,
            )

        return self._request(read)

    def find_underlying(
        self, symbol: str, sec_type: SecType = "STK", exchange: str = ""
    ) -> Underlying:
        """A US stock or index. Raises UnknownUnderlying, RequestFailed, GatewayTimeout."""
        timeout = self._settings.timeout
        return self._request(
            lambda c: contract_details.find_underlying(
                c, symbol, sec_type, exchange=exchange, timeout=timeout
            )
        )

    def option_params(self, underlying: Underlying) -> list[ChainParams]:
        """Trading classes on SMART, else those of all other exchanges, ordered by name.

        Empty if the gateway names none.
        Raises GatewayTimeout (it sometimes never answers), RequestFailed.
        """
        return self._request(
            lambda c: contract_details.option_params(c, underlying, self._settings.timeout)
        )

    def previous_close(self, underlying: Underlying) -> PreviousClose:
        """The close by the newest daily bar of a finished session, else by a quote.

        Raises RequestFailed without either.
        """
        now, settings = self.now(), self._settings
        by_history = self.history.take()
        data_types = [settings.market_data_type]
        if settings.allow_fallback_to_delayed:
            data_types.append(DELAYED_OR_FROZEN)
        patience = self._patience(None)
        return self._request(
            lambda c: contract_details.previous_close(
                c, underlying, now, patience, data_types=data_types, by_history=by_history
            )
        )

    def daily_bars(self, underlying: Underlying) -> tuple[list[DailyBar], QuotemillError | None]:
        """A year of day bars, and why they lack adjusted closes; raises as `read_bars`."""
        timeout = self._settings.timeout
        return self._request(lambda c: daily_bars.read_bars(c, underlying, timeout))

    def dividends(self, underlying: Underlying) -> Dividends | None:
        """Dividends paid and to pay, None where none is sent; raises as `read_dividends`."""
        patience = self._patience(None)
        return self._request(lambda c: daily_bars.read_dividends(c, underlying, patience))

    def qualify(self, candidates: Sequence[Candidate], *, batch_size: int = 50) -> Qualified:
        """Look candidates up, so many at once; each message obeys the wire limit."""
        timeout = self._settings.timeout

        def look_up(wanted: Sequence[Candidate]) -> Qualified:
            return self._request(lambda c: contract_details.qualify(c, wanted, timeout, batch_size))

        first = look_up(candidates)
        if self._connection is None or not self._connection.is_silent:
            return first
        # what the silent connection left open
        more = look_up([candidate for candidate, _ in first.failed])
        return Qualified(
            first.contracts + more.contracts,
            first.impossible + more.impossible,
            more.failed,
            first.bad + more.bad,
        )

    def find_owner(self, contracts: Sequence[OptionContract]) -> OptionContract | None:
        """Which of some contracts with one number has it; None where the gateway does not say."""
        timeout = self._settings.timeout
        return self._request(lambda c: contract_details.find_owner(c, contracts, timeout))

    def quotes(
        self,
        contracts: Sequence[OptionContract],
        market_data_type: int,
        *,
        timeout: float | None = None,
        lines: int | None = None,
    ) -> list[Quote]:
        """One batch: a quote for each contract, in order, always.

        At most `lines` requests, the underlyings' included, are open at once; by default
        `settings.usable_lines`. First snapshots, then a streaming pass for rows that lack quotes or
        greeks. `timeout` (default `quote_timeout`) holds for each pass. The type is a switch of the
        whole connection: to fall back, call again for what failed with `NO_PERMISSION`, type 3 or
        4. Pacing is not retried: rows fail with `pacing`.
        """
        return self._request(
            lambda c: quotes.quotes(self._batch(c, timeout, lines), contracts, market_data_type)
        )

    def open_interest(
        self,
        contracts: Sequence[OptionContract],
        *,
        timeout: float | None = None,
        lines: int | None = None,
    ) -> list[OpenInterest]:
        """The open interest of each contract, in order, by the streaming generic tick 101."""
        return self._request(
            lambda c: quotes.open_interest(self._batch(c, timeout, lines), contracts, FROZEN)
        )

    def _batch(self, connection: "Connection", timeout: float | None, lines: int | None) -> Batch:
        lines = min(self._settings.usable_lines, lines or self._settings.usable_lines)
        return Batch(connection, self._patience(timeout), lines, self._stamping)

    def _patience(self, timeout: float | None) -> Patience:
        return Patience(timeout or self._settings.quote_timeout, self._settings.settle)
