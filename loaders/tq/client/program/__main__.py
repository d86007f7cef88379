"""Requests in, answers out."""

import importlib
import json
import os
import queue
import sys
import threading
import types
from collections.abc import Callable, Iterator
from typing import Any, TextIO

from loaders.tq.client.program import bars, instruments, mains, ticks
from loaders.tq.client.program.failure import failure_of
from loaders.tq.client.program.session import Session

CALLS: dict[str, Callable[..., Any]] = {
    "login": Session.login,
    "may": Session.may,
    "calendar": Session.calendar,
    "instruments": instruments.instruments,
    "main_events": mains.main_events,
    "daily": bars.daily,
    "ticks": ticks.ticks,
    "recent_ticks": ticks.recent_ticks,
}


class _Later(types.ModuleType):
    """Stands in for a module until something of it is asked for."""

    def __getattr__(self, name: str) -> Any:
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(importlib.import_module(self.__name__), name)


def prepare() -> None:
    """Before the first import of the client, in this order.

    The notice of changes is fetched from a fixed host, 22 seconds without an internet. Statistics, which
    the client has for the prices of options, are imported when it asks for one: half of its start, and
    a third of its memory. Loopback never goes through a proxy.
    """
    sys.modules["tqsdk.changelog_notification"] = types.ModuleType("tqsdk.changelog_notification")
    sys.modules["scipy.stats"] = _Later("scipy.stats")
    for name in ("NO_PROXY", "no_proxy"):
        given = os.environ.get(name)
        os.environ[name] = ",".join(filter(None, (given, "127.0.0.1", "localhost")))


def requests_of(lines: TextIO) -> Iterator[dict[str, Any]]:
    """Read ahead by a thread, so that the end of the input ends the process in the middle of a call."""
    waiting: queue.Queue[dict[str, Any]] = queue.Queue()

    def read() -> None:
        for line in lines:
            waiting.put(json.loads(line))
        os._exit(0)

    threading.Thread(target=read, daemon=True).start()
    while True:
        yield waiting.get()


def main() -> None:
    # the client and what it imports print; lines of ours go where it cannot write
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    speaking = threading.Lock()

    def tell(message: dict[str, Any]) -> None:
        with speaking:
            out.write(json.dumps(message) + "\n")
            out.flush()

    prepare()
    asked = requests_of(sys.stdin)
    access = next(asked)
    session = Session(access, tell)
    for request in asked:
        try:
            tell({"result": CALLS[request["call"]](session, **request["args"])})
        except BaseException as error:
            failure = failure_of(error)
            told = {"message": str(failure), "symbols": failure.symbols}
            tell({"error": {"kind": failure.kind, **told}})


if __name__ == "__main__":
    main()
