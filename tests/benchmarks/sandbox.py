"""The simulated service in a process of its own: its work and its memory are not the loader's."""

import json
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

from loaders.sandbox.world.market import DEFAULT_END, exchange_days
from tests.benchmarks.processes import ROOT

START = "from loaders.cli import main; main()"


@dataclass(frozen=True)
class Market:
    """A running sandbox; `actions` is the file of its corporate actions."""

    url: str
    control: str
    actions: Path

    def ask(self, method: str, route: str, document: dict[str, Any] | None = None) -> Any:
        body = json.dumps(document or {}).encode() if method == "POST" else None
        request = urllib.request.Request(f"{self.control}/{route}", body, method=method)
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    def move_to(self, day: date) -> None:
        self.ask("POST", "clock", {"clock": day.isoformat(), "restart": True})

    def calls(self) -> int:
        """Requests that it has answered so far."""
        return int(self.ask("GET", "state")["calls"])

    def as_of(self) -> str:
        return str(self.ask("GET", "state")["clock"]) + "+08:00"


@contextmanager
def market(folder: Path, codes: int, days: int) -> Iterator[Market]:
    """A synthetic market of so many codes and days, its clock at the end of its last day."""
    actions = folder / "actions.csv"
    size = ("--codes", str(codes), "--days", str(days))
    options = ("--port", "0", "--control-port", "0", "--write-actions", str(actions))
    process = subprocess.Popen(
        [sys.executable, "-c", START, "sandbox", "tdx", *size, *options],
        cwd=ROOT, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        ready = process.stdout.readline()
        if "http://" not in ready:
            raise RuntimeError("the sandbox did not start")
        url, control = (part for part in ready.replace("control=", "").split() if "://" in part)
        yield Market(url, control, actions)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def next_days(count: int) -> list[date]:
    """The first trading days after the end of a market."""
    last = datetime(DEFAULT_END.year, 12, 31).date()
    return [day for day in exchange_days(DEFAULT_END, last) if day > DEFAULT_END][:count]
