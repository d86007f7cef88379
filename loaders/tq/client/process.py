"""A running client: a process of `program/`, which exchanges lines of JSON.

A process that gives no sign of life for `timeout` seconds (LOGIN_SECONDS until it is let in) is
killed with its group, as it is when `stop` says so. It also ends when this process dies in any way,
because its input ends. Account and password go through its input and are in no error; output of its
libraries stays in its folder.
"""

import contextlib
import json
import os
import queue
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

from loaders.engine.outcome import Stopped
from loaders.files.process import KILL, end_group
from loaders.requests.counts import count
from loaders.tq.errors import (
    TqAnswerError,
    TqAuthError,
    TqAway,
    TqBacktestsSpent,
    TqClientError,
    TqMissing,
    TqPermissionError,
    TqSettlementsAway,
    TqTimeout,
    TqTransport,
    UndescribedSymbol,
    UnknownSymbol,
)
from loaders.tq.settings import TqSettings
from quotemill.foreign import TQ_ANSWER, check_size, reading
from quotemill.installation import install_hint

PROGRAM = "loaders.tq.client.program"
HIDDEN = "***"  # in place of account and password
LOGIN_SECONDS = 90.0  # the client starts in two, and tries its servers again for a minute
POLL_SECONDS = 0.1  # between two checks of `stop`
END_SECONDS = 5.0  # for a client to end once its output did
PASSED_VARIABLES = (
    "PATH",
    "SYSTEMROOT",  # without which Windows starts no Python
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
)


class ClientProcess:
    """A process for one thread at a time."""

    def __init__(
        self,
        settings: TqSettings,
        home: Path,
        stop: Callable[[], bool],
        report: Callable[[str], None],
    ) -> None:
        self._settings, self._stop, self._report = settings, stop, report
        self._home, self._has_access = home, False
        self.days = 0  # of ticks that it has given, all of which it holds in memory
        home.mkdir(parents=True, mode=0o700)
        self._errors = home / "printed.txt"
        account, password = (
            secret.get_secret_value() if secret else ""
            for secret in (settings.account, settings.password)
        )
        access = {
            "account": account,
            "password": password,
            "sandbox": settings.sandbox,
        }
        with self._errors.open("wb") as printed:
            self._popen = subprocess.Popen(
                [sys.executable, "-P", "-m", PROGRAM],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=printed,
                cwd=home,
                env=_environment(settings, home),
                start_new_session=True,
            )
        self._lines: queue.Queue[bytes] = queue.Queue()
        threading.Thread(target=self._read_messages, daemon=True).start()
        self._send(access)

    @property
    def alive(self) -> bool:
        return self._popen.poll() is None

    def kill(self) -> None:
        """End the process and its group, and delete its folder."""
        end_group(self._popen, KILL)
        for pipe in (self._popen.stdin, self._popen.stdout):
            with contextlib.suppress(OSError, ValueError):
                if pipe is not None:
                    pipe.close()
        shutil.rmtree(self._home, ignore_errors=True)

    def ask(self, call: str, args: dict[str, Any]) -> Any:
        for _ in self.items(call, args):
            raise TqAnswerError(f"the response to {call} has several parts")
        self.days += call == "ticks"
        return self._result

    def items(self, call: str, args: dict[str, Any]) -> Iterator[dict[str, Any]]:
        if not self._has_access and call != "login":
            # a log-in has its own limit
            for _ in self._exchange("login", {}, min(LOGIN_SECONDS, self._settings.timeout)):
                pass
        self._has_access = True
        yield from self._exchange(call, args, self._settings.timeout)

    def _exchange(
        self, call: str, args: dict[str, Any], silence: float
    ) -> Iterator[dict[str, Any]]:
        self._send({"call": call, "args": args})
        count("requests")
        while True:
            message = self._next(call, silence)
            if "progress" in message:
                self._report(message["progress"])
            elif "item" in message:
                yield message["item"]
            elif "error" in message:
                with reading(f"the response to {call}", TqClientError):
                    answer = message["error"]
                    raise _to_error(answer | {"message": self._mask(answer["message"])})
            else:
                self._result = message.get("result")
                return

    def _next(self, call: str, silence: float) -> dict[str, Any]:
        until = time.monotonic() + silence
        while True:
            if self._stop():
                raise Stopped(f"stopped during a request to the futures servers ({call})")
            left = until - time.monotonic()
            if left <= 0:
                raise TqTimeout(
                    f"the futures servers gave no sign of life for {silence:g} s ({call})",
                    hint="Raise tq.timeout to wait longer.",
                )
            try:
                line = self._lines.get(timeout=min(POLL_SECONDS, left))
            except queue.Empty:
                continue
            if not line:
                raise TqTransport(f"the futures client ended during {call}: {self._describe_end()}")
            return _parse(line, f"the response to {call}")

    def _send(self, message: dict[str, Any]) -> None:
        assert self._popen.stdin is not None
        try:
            self._popen.stdin.write(json.dumps(message).encode() + b"\n")
            self._popen.stdin.flush()
        except OSError as error:
            raise TqTransport(f"the futures client ended: {self._describe_end()}") from error

    def _read_messages(self) -> None:
        assert self._popen.stdout is not None
        with contextlib.suppress(ValueError, OSError):  # closed by `kill`
            while line := self._popen.stdout.readline(TQ_ANSWER.most + 1):
                self._lines.put(line)
        self._lines.put(b"")

    def _describe_end(self) -> str:
        try:
            how = f"exit code {self._popen.wait(END_SECONDS)}"
        except subprocess.TimeoutExpired:  # the caller kills it
            how = "its output ended, but it is still running"
        try:
            lines = self._errors.read_text(errors="replace").strip().splitlines()
        except OSError:
            lines = []
        last = lines[-1] if lines else "it printed nothing"
        return f"{how}, {self._mask(last)}"

    def _mask(self, text: str) -> str:
        """`text` without account and password, both plain and as in an address."""
        forms = set[str]()
        for secret in filter(None, (self._settings.account, self._settings.password)):
            plain = secret.get_secret_value()
            forms |= {plain, quote(plain, safe=""), quote_plus(plain)}
        # one may be a part of the other
        for form in sorted(forms, key=len, reverse=True):
            text = text.replace(form, HIDDEN)
        return text


def _parse(line: bytes, place: str) -> dict[str, Any]:
    """A message of the client. Raises TqClientError: what follows it is not to be trusted."""
    check_size(place, len(line), TQ_ANSWER, TqClientError)
    with reading(place, TqClientError):
        return dict(json.loads(line))


def _environment(settings: TqSettings, home: Path) -> dict[str, str]:
    """The variables that the client reads: no other setting, no other secret."""
    names = (*PASSED_VARIABLES, *(name.lower() for name in PASSED_VARIABLES))
    passed = {name: os.environ[name] for name in names if name in os.environ}
    if url := settings.sandbox:
        passed |= {
            "TQ_AUTH_URL": url,
            "TQ_MD_URL": f"ws{url.removeprefix('http')}/md",
            "TQ_CHINESE_HOLIDAY_URL": f"{url}/holidays.json",
            "TQ_CONT_TABLE_URL": f"{url}/cont_table.json",
        }
    return passed | {"HOME": str(home), "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"}


def _to_error(answer: dict[str, Any]) -> Exception:
    kind, message = answer["kind"], answer["message"]
    if kind == "unknown":
        return UnknownSymbol(answer["symbols"])
    if kind == "undescribed":
        return UndescribedSymbol(answer["symbols"])
    if kind == "auth":
        hint = "Check QUOTEMILL_TQ__ACCOUNT and QUOTEMILL_TQ__PASSWORD (tq.account, tq.password)."
        return TqAuthError(f"the futures servers reject the account: {message}", hint=hint)
    if kind == "permission":
        hint = (
            "Get the professional edition of TqSdk. The latest ticks and other data work "
            "without it."
        )
        return TqPermissionError(f"the account lacks a permission: {message}", hint=hint)
    if kind == "backtests":
        hint = "Set tq.route = history, which needs no backtests (a free account has three a day)."
        return TqBacktestsSpent(f"no backtests left today: {message}", hint=hint)
    if kind == "settlements":
        return TqSettlementsAway(
            f"no settlement prices from their server: {message}",
            hint="Allow connections without a proxy to the settlement server: "
            "md-settlement-system-fc-api.shinnytech.com",
        )
    if kind == "missing":
        return TqMissing(f"the futures client is not installed: {message}", hint=install_hint("tq"))
    if kind == "answer":
        return TqAnswerError(message)
    if kind == "timeout":
        return TqTimeout(f"the futures servers did not respond in time: {message}")
    if kind == "barred":
        return TqTransport(
            f"a proxy or certificate blocks the connection to the futures servers: {message}",
            hint="Check HTTPS_PROXY and SSL_CERT_FILE, then run `loaders check tq`.",
        )
    if kind == "client":
        return TqClientError(message)
    return TqAway(message, hint="Run `loaders check tq` to see whether the servers can be reached.")
