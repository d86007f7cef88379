"""One load's answers from the futures servers, as plain values.

Each question is put to a process of `tqsdk_client.py` with a home and a working directory of its own,
below `folder`. A process that is free again takes the next question; after any error of the client it is killed, and
the question is put to a new one, `retries` times. Threads may ask at once; each then has its process.

A process that gives no sign of life for `timeout` seconds (`connect_timeout` until it is let in) is
killed with its group, as it is when `stop` says so, when the harvest is closed, and, because its input
ends, when this process dies however it dies. Account and password go through its input and are in no
error; what its libraries print stays in its folder.
"""

import contextlib
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from loaders.engine.outcome import Stopped
from loaders.tq.errors import (
    TqAnswerError,
    TqAuthError,
    TqClientError,
    TqMissing,
    TqPermissionError,
    TqTimeout,
    TqTransport,
    UnknownSymbol,
)
from loaders.tq.settings import TqSettings

if TYPE_CHECKING:
    import pyarrow as pa

PROGRAM = Path(__file__).with_name("tqsdk_client.py")
LOOK_EVERY = 0.1  # seconds between two looks at `stop`
KEPT_VARIABLES = (
    *("PATH", "LANG", "LC_ALL", "TZ", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR"),
    *("REQUESTS_CA_BUNDLE", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
)
# errors that our own program told of before the client was asked, or after it had answered
REFUSALS = (UnknownSymbol, TqPermissionError, TqAnswerError)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
US = timedelta(microseconds=1)


@dataclass(frozen=True)
class Instruments:
    """`sessions`: for each variety (session, idx, start_s, end_s), `session` day or night, seconds since
    00:00 of the date on which the session begins: today's hours, not those of the past. `contracts`:
    rows of the table contract. `seen_at`: the newest quote of each variety's main contract, UTC; None
    where there is none. `left_out`: contracts that are told without a number that each has."""

    sessions: dict[str, list[tuple[str, int, int, int]]]
    contracts: list[dict[str, Any]]
    seen_at: dict[str, datetime | None]
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class MainEvents:
    """`events`: (clock in UTC at which it came, contract or None where nothing is listed); the first is
    what held on the first day, stamped its 00:00 exchange time. Trading days from `first_day` to
    `last_day` are covered, both included; None where the window has none."""

    route: str
    first_day: date | None
    last_day: date | None
    events: list[tuple[datetime, str | None]]


@dataclass(frozen=True)
class DayRange:
    """Ticks from `start` up to before `end` (UTC) are those of the trading day."""

    trading_day: date
    start: datetime
    end: datetime


@dataclass(frozen=True)
class TickAnswer:
    """`path` is a Parquet file of the day's ticks in the order of the service: id and datetime_ns (ns
    since 1970 UTC) int64, all other fields of a tick float64, null where there is none; None for a day
    without ticks. The file is the caller's to delete; what is left goes when the harvest is closed.
    `more_days_had_rows`: did the same session have ticks of the contract on another day?"""

    trading_day: date
    path: Path | None
    rows: int
    more_days_had_rows: bool


class Harvest:
    """`stop` is looked at ten times a second, `report` gets lines about progress (from any thread)."""

    def __init__(
        self,
        settings: TqSettings,
        folder: Path,
        *,
        stop: Callable[[], bool] = lambda: False,
        report: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._settings, self._folder = settings, folder
        self._stop, self._report = stop, report
        self._lock = threading.Lock()
        self._free: list[_Process] = []
        self._all: list[_Process] = []
        self._files = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends every process and deletes what they wrote."""
        with self._lock:
            processes, self._all, self._free = self._all, [], []
        for process in processes:
            process.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    # ------------------------------------------------------------------ questions
    def login(self) -> None:
        """Only looks whether the account is let in."""
        self._ask("login", {})

    def calendar(self, first: date, last: date) -> list[date]:
        """Trading days of the exchanges, as far as the published holidays reach."""
        days = self._ask("calendar", {"first": first.isoformat(), "last": last.isoformat()})
        return [date.fromisoformat(day) for day in days]

    def instruments(self, varieties: Sequence[str]) -> Instruments:
        """Every futures contract that the servers know of these, expired ones included."""
        answer = self._ask("instruments", {"varieties": list(varieties)})
        contracts = [
            {
                **row,
                "expire_date": _day(row["expire_date"]),
                "price_tick": Decimal(row["price_tick"]),
            }
            for row in answer["contracts"]
        ]
        sessions = {v: [tuple(row) for row in rows] for v, rows in answer["sessions"].items()}
        seen = {v: None if ns is None else _utc(ns) for v, ns in answer["seen_at"].items()}
        return Instruments(sessions, contracts, seen, tuple(answer["left_out"]))

    def main_events(self, variety: str, first: date, last: date, route: str) -> MainEvents:
        """`route` is backtest or history. Days without any data yet are not covered by the first."""
        window = {"variety": variety, "first": first.isoformat(), "last": last.isoformat()}
        answer = self._ask("main_events", {**window, "route": route})
        first_day, last_day = (_day(answer[name]) for name in ("first_day", "last_day"))
        events = [(_utc(ns), contract) for ns, contract in answer["events"]]
        return MainEvents(answer["route"], first_day, last_day, events)

    def daily(self, contracts: Sequence[str], first: date, last: date) -> "pa.Table":
        """Columns of the table contract_daily: prices as decimals, volumes and interest as integers."""
        path = self._file("daily")
        window = {"first": first.isoformat(), "last": last.isoformat(), "path": str(path)}
        self._ask("daily", {"contracts": list(contracts), **window})
        return _daily_table(path)

    def ticks(self, contract: str, ranges: Sequence[DayRange]) -> Iterator[TickAnswer]:
        """An answer for each range, in order; a day that fails is asked again before the next."""
        settings, done, failed = self._settings, 0, 0
        folder = self._file("ticks").with_suffix("")
        folder.mkdir()
        while done < len(ranges):
            asked = [[r.trading_day.isoformat(), _ns(r.start), _ns(r.end)] for r in ranges[done:]]
            args = {"contract": contract, "folder": str(folder), "pace": settings.pace}
            try:
                for item in self._days_of_ticks(asked, args):
                    done, failed = done + 1, 0
                    yield _tick_answer(item)
            except TqTransport as error:
                failed += 1
                if failed > settings.retries:
                    raise
                self._pause(failed, error)

    def recent_ticks(self, contract: str, n: int) -> "pa.Table":
        """The newest ticks (at most 8,000), which need no permission; columns as in `TickAnswer`."""
        import pyarrow.parquet as pq

        path = self._file("recent")
        self._ask("recent_ticks", {"contract": contract, "n": n, "path": str(path)})
        return _taken(pq.read_table(path), path)

    # ------------------------------------------------------------------ processes
    def _ask(self, call: str, args: dict[str, Any]) -> Any:
        failed = 0
        while True:
            process = self._process()
            try:
                answer = process.ask(call, args)
            except TqTransport as error:
                process.kill()
                failed += 1
                if failed > self._settings.retries:
                    raise
                self._pause(failed, error)
            except REFUSALS:
                self._give_back(process)
                raise
            except BaseException:
                process.kill()
                raise
            else:
                self._give_back(process)
                return answer

    def _days_of_ticks(
        self, asked: list[list[Any]], args: dict[str, Any]
    ) -> Iterator[dict[str, Any]]:
        """As many of the days as one process may still keep in its memory."""
        process = self._process()
        days = asked[: self._settings.days_per_process - process.days]
        process.days += len(days)
        try:
            yield from process.items("ticks", {**args, "ranges": days})
        except REFUSALS:
            self._give_back(process)
            raise
        except BaseException:  # also of whoever reads no further
            process.kill()
            raise
        if process.days < self._settings.days_per_process:
            self._give_back(process)
        else:
            process.kill()

    def _process(self) -> "_Process":
        with self._lock:
            self._all = [process for process in self._all if process.alive]
            while self._free:
                process = self._free.pop()
                if process.alive:
                    return process
        return self._new_process()

    def _new_process(self) -> "_Process":
        with self._lock:
            self._files += 1
            home = self._folder / f"client-{self._files}"
        process = _Process(self._settings, home, self._stop, self._report)
        with self._lock:
            self._all.append(process)
        return process

    def _give_back(self, process: "_Process") -> None:
        with self._lock:
            self._free.append(process)

    def _file(self, name: str) -> Path:
        with self._lock:
            self._files += 1
            path = self._folder / f"{name}-{self._files}.parquet"
        self._folder.mkdir(parents=True, exist_ok=True)
        return path

    def _pause(self, failed: int, error: TqTransport) -> None:
        self._report(f"{error}; asked again")
        until = time.monotonic() + self._settings.backoff * 2 ** (failed - 1)
        while time.monotonic() < until:
            if self._stop():
                raise Stopped("stopped before the futures servers were asked again")
            time.sleep(min(LOOK_EVERY, max(0.0, until - time.monotonic())))


class _Process:
    """A running client. Whoever has one uses it alone."""

    def __init__(
        self,
        settings: TqSettings,
        home: Path,
        stop: Callable[[], bool],
        report: Callable[[str], None],
    ) -> None:
        self._settings, self._stop, self._report = settings, stop, report
        self._home, self._let_in = home, False
        self.days = 0  # of ticks that it was asked for
        home.mkdir(parents=True, mode=0o700)
        self._errors = home / "printed.txt"
        secret = settings.password.get_secret_value() if settings.password else ""
        access = {"account": settings.account or "", "password": secret, "md_url": settings.md_url}
        with self._errors.open("wb") as printed:
            self._popen = subprocess.Popen(
                [sys.executable, "-P", str(PROGRAM)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=printed,
                cwd=home,
                env=_environment(settings, home),
                start_new_session=True,
            )
        self._lines: queue.Queue[dict[str, Any] | None] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        self._send(access)

    @property
    def alive(self) -> bool:
        return self._popen.poll() is None

    def kill(self) -> None:
        """With its group; its folder goes too."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._popen.pid, signal.SIGKILL)
        self._popen.wait()
        for pipe in (self._popen.stdin, self._popen.stdout):
            with contextlib.suppress(OSError, ValueError):
                if pipe is not None:
                    pipe.close()
        shutil.rmtree(self._home, ignore_errors=True)

    def ask(self, call: str, args: dict[str, Any]) -> Any:
        for _ in self.items(call, args):
            raise TqAnswerError(f"{call} has an answer in parts")
        return self._result

    def items(self, call: str, args: dict[str, Any]) -> Iterator[dict[str, Any]]:
        if not self._let_in and call != "login":
            # a log-in has a limit of its own
            for _ in self._exchange("login", {}, self._settings.connect_timeout):
                pass
        self._let_in = True
        yield from self._exchange(call, args, self._settings.timeout)

    def _exchange(
        self, call: str, args: dict[str, Any], silence: float
    ) -> Iterator[dict[str, Any]]:
        self._send({"call": call, "args": args})
        while True:
            message = self._next(call, silence)
            if "progress" in message:
                self._report(message["progress"])
            elif "item" in message:
                yield message["item"]
            elif "error" in message:
                raise _raised(message["error"])
            else:
                self._result = message["result"]
                return

    def _next(self, call: str, silence: float) -> dict[str, Any]:
        until = time.monotonic() + silence
        while True:
            if self._stop():
                raise Stopped(f"stopped while the futures servers were asked for {call}")
            left = until - time.monotonic()
            if left <= 0:
                raise TqTimeout(
                    f"the futures servers gave no sign of life for {silence:g} s ({call})",
                    hint="tq.timeout and tq.connect_timeout say how long to wait",
                )
            try:
                message = self._lines.get(timeout=min(LOOK_EVERY, left))
            except queue.Empty:
                continue
            if message is None:
                raise TqTransport(
                    f"the futures client ended in the middle of {call}: {self._last_words()}"
                )
            return message

    def _send(self, message: dict[str, Any]) -> None:
        assert self._popen.stdin is not None
        try:
            self._popen.stdin.write(json.dumps(message).encode() + b"\n")
            self._popen.stdin.flush()
        except OSError as error:
            raise TqTransport(f"the futures client ended: {self._last_words()}") from error

    def _read(self) -> None:
        assert self._popen.stdout is not None
        with contextlib.suppress(ValueError, OSError):  # closed by `kill`
            for line in self._popen.stdout:
                self._lines.put(json.loads(line))
        self._lines.put(None)

    def _last_words(self) -> str:
        code = self._popen.wait()
        try:
            lines = self._errors.read_text(errors="replace").strip().splitlines()
        except OSError:
            lines = []
        last = lines[-1] if lines else "it printed nothing"
        if self._settings.password:
            last = last.replace(self._settings.password.get_secret_value(), "***")
        return f"exit code {code}, {last}"


def _environment(settings: TqSettings, home: Path) -> dict[str, str]:
    """Nothing of ours but what the client reads: no other setting, no other secret."""
    names = (*KEPT_VARIABLES, *(name.lower() for name in KEPT_VARIABLES))
    kept = {name: os.environ[name] for name in names if name in os.environ}
    addresses = {
        "TQ_AUTH_URL": settings.auth_url,
        "TQ_MD_URL": settings.md_url,
        "TQ_CHINESE_HOLIDAY_URL": settings.holiday_url,
        "TQ_CONT_TABLE_URL": settings.cont_table_url,
    }
    kept |= {name: url for name, url in addresses.items() if url}
    return kept | {"HOME": str(home), "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"}


def _raised(told: dict[str, Any]) -> Exception:
    kind, message = told["kind"], told["message"]
    if kind == "unknown":
        return UnknownSymbol(told["symbols"])
    if kind == "auth":
        hint = "tq.account and tq.password (QUOTEMILL_TQ__ACCOUNT, QUOTEMILL_TQ__PASSWORD)"
        return TqAuthError(f"the futures servers do not let the account in: {message}", hint=hint)
    if kind == "permission":
        hint = (
            "the professional edition of TqSdk has it; the newest ticks and all but ticks need none"
        )
        return TqPermissionError(f"the account lacks a permission: {message}", hint=hint)
    if kind == "missing":
        return TqMissing(
            f"the futures client is not installed: {message}", hint="pip install 'quotemill[tq]'"
        )
    if kind == "answer":
        return TqAnswerError(message)
    if kind == "timeout":
        return TqTimeout(f"the futures servers did not answer in time: {message}")
    if kind == "client":
        return TqClientError(message)
    return TqTransport(message, hint="`loaders check tq` says whether they can be reached")


def _day(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None


def _utc(ns: int) -> datetime:
    return EPOCH + timedelta(microseconds=ns // 1000)


def _ns(at: datetime) -> int:
    return (at - EPOCH) // US * 1000


def _tick_answer(item: dict[str, Any]) -> TickAnswer:
    path = item["path"] and Path(item["path"])
    day = date.fromisoformat(item["trading_day"])
    return TickAnswer(day, path, item["rows"], item["more_days_had_rows"])


def _taken(table: "pa.Table", path: Path) -> "pa.Table":
    path.unlink()
    return table


def _daily_table(path: Path) -> "pa.Table":
    import pyarrow as pa
    import pyarrow.parquet as pq

    raw = pq.read_table(path)
    price, columns = pa.decimal128(24, 9), {}
    for field in raw.schema:
        column = raw.column(field.name)
        if field.name == "trade_date":
            columns[field.name] = column.cast(pa.timestamp("s")).cast(pa.date32())
        elif field.name in ("open", "high", "low", "close"):
            # by text: the shortest that names the float, not what its binary form is exactly
            texts = [None if v is None else Decimal(repr(v)) for v in column.to_pylist()]
            columns[field.name] = pa.array(texts, price)
        elif field.name in ("volume", "open_oi", "close_oi"):
            columns[field.name] = column.cast(pa.int64())
        else:
            columns[field.name] = column
    return _taken(pa.table(columns), path)
