"""Base of every sandbox: faults, request log, virtual clock, control port."""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from dataclasses import asdict
from datetime import date, datetime
from typing import Any, Self

from loaders.sandbox.faults import FaultPlan
from loaders.sandbox.server.control import Document, open_control_port
from loaders.sandbox.server.http_server import HttpServer
from quotemill.errors import UsageError


class Sandbox(ABC):
    """A simulated service that runs from entering to leaving the context.

    faults: the rules that are active
    log: the requests, oldest first
    url, control_url: where it listens; without `control_port` there is no control port
    """

    def __init__(self, faults: FaultPlan, log: deque[Any], control_port: int | None) -> None:
        self.faults, self.log = faults, log
        self.url = self.control_url = ""
        self._control_port = control_port
        self._control: HttpServer | None = None
        self.controls: dict[tuple[str, str], Callable[[Document], object]] = {
            ("POST", "clock"): self.steer_clock,
            ("POST", "faults"): lambda document: self.faults.add(str(document["fault"])),
            ("DELETE", "faults"): lambda _: self.faults.clear(),
            ("DELETE", "log"): lambda _: self.log.clear(),
            ("GET", "state"): lambda _: None,
            ("GET", "faults"): lambda _: None,
        }

    @property
    @abstractmethod
    def clock(self) -> datetime:
        """Virtual time of the service."""

    @abstractmethod
    def set_clock(self, clock: date | datetime | str) -> None:
        """Move the clock to a date (18:00 of it), a date-time, or an ISO text of either."""

    @abstractmethod
    def open(self) -> None:
        """Open the ports of the service; raises UsageError if one is taken."""

    @abstractmethod
    def close(self) -> None:
        """Close the ports of the service."""

    @abstractmethod
    def describe(self) -> dict[str, object]:
        """What the control port shows beside clock and faults."""

    def steer_clock(self, document: Document) -> None:
        self.set_clock(str(document["clock"]))

    def __enter__(self) -> Self:
        self.open()
        if self._control_port is not None:
            try:
                self._control = open_control_port(self._control_port, self.control)
            except UsageError:
                self.close()
                raise
            self.control_url = self._control.url
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Close all ports; a second call does nothing."""
        if self._control is not None:
            self._control.stop()
        self.close()

    def control(self, method: str, route: str, document: Document) -> dict[str, object]:
        """Do what a request to the control port asks for, and return what it is answered.

        Raises UsageError, ValueError, TypeError or KeyError for a bad request.
        """
        if (method, route) == ("GET", "log"):
            return {"log": [_entry_as_json(entry) for entry in list(self.log)]}
        act = self.controls.get((method, route))
        if act is None:
            known = ", ".join(f"{verb} /{name}" for verb, name in (*self.controls, ("GET", "log")))
            raise UsageError(f"unknown control {method} /{route}", hint=known)
        act(document)
        return {
            "clock": self.clock.isoformat(),
            "faults": [str(rule) for rule in self.faults.rules],
            **self.describe(),
        }


def _entry_as_json(entry: Any) -> dict[str, Any]:
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in asdict(entry).items()
    }
