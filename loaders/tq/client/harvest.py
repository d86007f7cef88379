"""One load's answers from the futures servers, as plain values.

Each question goes to a process of the client with its own home and working directory below
`folder`. A process that is free again takes the next question; after any error of the client it is
killed, and the question goes to a new one, `retries` times. Threads may ask at once; each then has
its process. Closing the harvest ends every process.

Servers that are away are no failure of a question: it is put again for `wait` seconds in all.
"""

import shutil
import threading
import time
from collections.abc import Callable, Generator, Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from loaders.engine.outcome import Stopped
from loaders.requests.counts import count
from loaders.tq.client import answers
from loaders.tq.client.answers import Instruments, Licence, MainEvents, Quote
from loaders.tq.client.process import POLL_SECONDS, ClientProcess
from loaders.tq.errors import (
    TqAnswerError,
    TqAway,
    TqBacktestsSpent,
    TqPermissionError,
    TqSettlementsAway,
    TqTransport,
    UnknownSymbol,
)
from loaders.tq.settings import TqSettings
from loaders.tq.trading_day import nanoseconds
from loaders.trading_time import SHANGHAI

if TYPE_CHECKING:
    import pyarrow as pa

# errors that our own program raised before it asked the client, or after the answer
REFUSALS = (UnknownSymbol, TqPermissionError, TqAnswerError)
MAINTENANCE = "Daily maintenance is from 19:00 to 19:30 in Beijing"
LONGEST_PAUSE = 60.0  # between two questions to servers that are away


class Harvest:
    """The answers for one load.

    `stop` is polled ten times a second, `report` gets lines about progress and `announce` those
    about servers that are away (both from any thread). `hold` gets why all wait, and nothing once
    they do not.
    """

    def __init__(
        self,
        settings: TqSettings,
        folder: Path,
        *,
        stop: Callable[[], bool] = lambda: False,
        report: Callable[[str], None] = lambda _: None,
        announce: Callable[[str], None] = lambda _: None,
        hold: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._settings, self._folder = settings, folder
        self._stop, self._report, self._announce, self._hold = stop, report, announce, hold
        self._refusals: dict[str, TqBacktestsSpent | TqSettlementsAway] = {}  # by call
        self._away_since: float | None = None  # monotonic, of the first question without an answer
        self._lock = threading.Lock()
        self._free: list[ClientProcess] = []
        self._all: list[ClientProcess] = []
        self._files = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End every process and delete its files."""
        with self._lock:
            processes, self._all, self._free = self._all, [], []
        for process in processes:
            process.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def login(self) -> None:
        """Check only whether the account is let in."""
        self._ask("login", {})

    def may(self, feature: str) -> bool:
        """Whether the account has a permission, such as tq_dl for the history of ticks."""
        return bool(self._ask("may", {"feature": feature}))

    def licence(self) -> Licence:
        return answers.licence(self._ask("licence", {}))

    def calendar(self, first: date, last: date) -> list[date]:
        """Trading days of the exchanges, as far as the published holidays reach."""
        window = {"first": first.isoformat(), "last": last.isoformat()}
        return answers.days(self._ask("calendar", window))

    def instruments(self, varieties: Sequence[str]) -> Instruments:
        """Every contract of the varieties that the servers know, expired ones included."""
        return answers.instruments(self._ask("instruments", {"varieties": list(varieties)}))

    def exchange_seen_at(self, exchange: str) -> datetime | None:
        """The newest quote of any main contract of an exchange, UTC; None without a quote."""
        return answers.moment(self._ask("exchange_seen_at", {"exchange": exchange}))

    def main_events(self, variety: str, first: date, last: date, route: str) -> MainEvents:
        """`route`: backtest, which covers no day without data yet, or history.

        After a backtest that is refused the next ones are, without a question.
        """
        window = {"variety": variety, "first": first.isoformat(), "last": last.isoformat()}
        args = {**window, "route": route}
        ask = self._ask_until_refused if route == "backtest" else self._ask
        return answers.main_events(ask("main_events", args))

    def daily(self, contracts: Sequence[str], first: date, last: date) -> "pa.Table":
        """Columns of contract_daily: prices as decimals, volumes as integers."""
        path = self._file("daily")
        window = {"first": first.isoformat(), "last": last.isoformat(), "path": str(path)}
        self._ask("daily", {"contracts": list(contracts), **window})
        return answers.daily_table(path)

    def minutes(self, contract: str, start: datetime, end: datetime) -> "pa.Table | None":
        """Columns of contract_minute of a trading day; None for one too long ago."""
        path = self._file("minutes")
        window = {"start": nanoseconds(start), "end": nanoseconds(end), "path": str(path)}
        reaches = self._ask("minutes", {"contract": contract, **window})
        return answers.minute_table(path) if reaches else None

    def settlements(
        self, contract: str, first: date, last: date, *, days: int
    ) -> dict[date, Decimal]:
        """Settlement prices of a contract by trading day, of which the range has so many.

        Their service is waited for by retries alone; once they all failed, so do the next
        questions, which are not put.
        """
        window = {"first": first.isoformat(), "last": last.isoformat(), "days": days}
        rows = self._ask_until_refused("settlements", {"contract": contract, **window})
        return answers.settlements(rows)

    def terms(self, contracts: Sequence[str]) -> list[Quote]:
        """The quotes of contracts that the servers list, in this order."""
        return [answers.quote(row) for row in self._ask("terms", {"contracts": list(contracts)})]

    def ticks(self, contract: str, start: datetime, end: datetime) -> Path | None:
        """A file with the ticks of a trading day; None without one.

        From `start` on (included) and before `end`. A Parquet file in the order of the service: id
        and datetime_ns (ns since 1970 UTC) int64, all other fields of a tick float64, missing ones
        null. `answers.take_table` reads and deletes it; closing the harvest deletes the rest.
        """
        path = self._file("ticks")
        span = {"start": nanoseconds(start), "end": nanoseconds(end)}
        args = {"contract": contract, **span, "path": str(path), "pace": self._settings.pace}
        return path if self._ask("ticks", args) else None

    def recent_ticks(self, contract: str, n: int) -> "pa.Table":
        """The newest ticks (at most 8,000), with columns as in `ticks`; needs no permission."""
        path = self._file("recent")
        self._ask("recent_ticks", {"contract": contract, "n": n, "path": str(path)})
        return answers.take_table(path)

    def live(
        self, varieties: Sequence[str], day: date, start: datetime, *, folder: Path, flush: float
    ) -> Generator[dict[str, tuple[str, datetime | None]], None, None]:
        """Record the ticks of present main contracts into files of `folder` until closed.

        `start` is where the ticks of the trading day begin. Yields every `flush` seconds the
        contract of each variety and its newest stamp. A client that fails is replaced: the next one
        begins with the newest ticks of the servers.
        """
        args: dict[str, Any] = {"varieties": list(varieties), "day": day.isoformat()}
        args |= {"start": nanoseconds(start), "folder": str(folder), "flush": flush}
        failed = 0
        while True:
            process = self._process()
            try:
                for item in process.items("live", args):
                    self._note_answer()
                    failed = 0
                    yield answers.heads(item)
            except TqTransport as error:
                failed = self._put_off(error, failed)
            finally:  # it records until its end
                process.kill()

    def _ask_until_refused(self, call: str, args: dict[str, Any]) -> Any:
        """Ask; after a refusal that holds for the rest of the load, raise it again instead."""
        if call in self._refusals:
            raise self._refusals[call]
        try:
            return self._ask(call, args)
        except (TqBacktestsSpent, TqSettlementsAway) as error:
            self._refusals[call] = error
            raise

    def _ask(self, call: str, args: dict[str, Any]) -> Any:
        failed = 0
        while True:
            process = self._process()
            try:
                answer = process.ask(call, args)
            except TqTransport as error:
                process.kill()
                failed = self._put_off(error, failed)
            except TqBacktestsSpent:  # the client failed
                process.kill()
                raise
            except REFUSALS:
                self._give_back(process)
                raise
            except BaseException:
                process.kill()
                raise
            else:
                self._note_answer()
                self._give_back(process)
                return answer

    def _process(self) -> ClientProcess:
        with self._lock:
            self._all = [process for process in self._all if process.alive]
            while self._free:
                process = self._free.pop()
                if process.alive:
                    return process
        return self._new_process()

    def _new_process(self) -> ClientProcess:
        with self._lock:
            self._files += 1
            home = self._folder / f"client-{self._files}"
        process = ClientProcess(self._settings, home, self._stop, self._report)
        with self._lock:
            self._all.append(process)
        return process

    def _give_back(self, process: ClientProcess) -> None:
        """Let a process answer further questions, unless it holds as many ticks as it may."""
        if process.days >= self._settings.days_per_process:
            process.kill()
            return
        with self._lock:
            self._free.append(process)

    def _file(self, name: str) -> Path:
        with self._lock:
            self._files += 1
            path = self._folder / f"{name}-{self._files}.parquet"
        self._folder.mkdir(parents=True, exist_ok=True)
        return path

    def _put_off(self, error: TqTransport, failed: int) -> int:
        """Pause before a question is put again; return how often it has failed by now.

        Raises the error once all retries failed, or the servers are away for too long.
        """
        if isinstance(error, TqAway) and self._settings.wait:
            self._await_servers(error)
            return failed
        failed += 1
        if failed > self._settings.retries:
            raise error
        self._report(f"{error}. Retrying")
        self._pause(self._settings.backoff * 2 ** (failed - 1))
        return failed

    def _await_servers(self, error: TqAway) -> None:
        """Pause, longer the longer the servers are away. Raises TqAway at the end of patience."""
        now, wait = time.monotonic(), self._settings.wait
        with self._lock:
            is_first, since = self._away_since is None, self._away_since or now
            self._away_since = since
        waited = now - since
        if waited >= wait:
            why = f"{error}. They were unreachable for {_duration(wait)} (tq.wait). {MAINTENANCE}"
            self._hold("")
            raise TqAway(why, hint=error.hint)
        if is_first:
            began = f"{datetime.now(SHANGHAI):%H:%M:%S} Shanghai"
            self._hold(f"waiting for the futures servers since {began}")
            self._announce(
                f"{error}. Retrying for up to {_duration(wait)} (tq.wait). {MAINTENANCE}. "
                "To stop waiting, press Ctrl-C: loaded rows are kept"
            )
        longest = min(LONGEST_PAUSE, wait - waited)
        self._pause(min(longest, max(self._settings.backoff, waited)))

    def _note_answer(self) -> None:
        """End an outage."""
        with self._lock:
            since, self._away_since = self._away_since, None
        if since is not None:
            self._hold("")
            waited = _duration(time.monotonic() - since)
            self._announce(f"the futures servers are back after {waited}")

    def _pause(self, seconds: float) -> None:
        count("retries")
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if self._stop():
                raise Stopped("stopped before the next request to the futures servers")
            time.sleep(min(POLL_SECONDS, max(0.0, until - time.monotonic())))


def _duration(seconds: float) -> str:
    return f"{seconds:.3g} s" if seconds < 120 else f"{seconds / 60:.0f} min"
