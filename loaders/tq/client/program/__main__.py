"""The loop of the program: requests in, answers out."""

import importlib
import json
import os
import queue
import sys
import threading
import types
from collections.abc import Callable, Iterator
from typing import Any, TextIO

from loaders.tq.client.program import (
    bars,
    instruments,
    live,
    mains,
    quotes,
    settlements,
    ticks,
)
from loaders.tq.client.program.failure import classify
from loaders.tq.client.program.session import Session
from quotemill.foreign import TQ_MEMORY
from quotemill.systems import IS_POSIX

CALLS: dict[str, Callable[..., Any]] = {
    "login": Session.login,
    "may": Session.may,
    "licence": Session.licence,
    "calendar": Session.calendar,
    "instruments": instruments.instruments,
    "exchange_seen_at": instruments.exchange_seen_at,
    "main_events": mains.main_events,
    "daily": bars.daily,
    "minutes": bars.minutes,
    "settlements": settlements.settlements,
    "terms": quotes.terms,
    "ticks": ticks.ticks,
    "recent_ticks": ticks.recent_ticks,
    "live": live.live,
}


class LazyModule(types.ModuleType):
    """Stands in for a module until one of its attributes is used."""

    def __getattr__(self, name: str) -> Any:
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(importlib.import_module(self.__name__), name)


def prepare() -> None:
    """Set up the process before the first import of the client.

    The client fetches a notice of changes from a fixed host: 22 seconds without internet. It
    imports statistics for option prices: half of its start time and a third of its memory, so they
    are imported at first use. Loopback never goes through a proxy.
    """
    sys.modules["tqsdk.changelog_notification"] = types.ModuleType("tqsdk.changelog_notification")
    sys.modules["scipy.stats"] = LazyModule("scipy.stats")
    for name in ("NO_PROXY", "no_proxy"):
        given = os.environ.get(name)
        os.environ[name] = ",".join(filter(None, (given, "127.0.0.1", "localhost")))


def limit_memory(most: int) -> None:
    """Let an answer that would fill the machine's memory be a MemoryError of its question.

    Windows has no such limit.
    """
    if not IS_POSIX:
        return
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    most = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (most, hard))


def read_requests(lines: TextIO) -> Iterator[dict[str, Any]]:
    """Requests, read by a thread: the end of the input ends the process in any call."""
    waiting: queue.Queue[dict[str, Any]] = queue.Queue()

    def read() -> None:
        for line in lines:
            waiting.put(json.loads(line))
        os._exit(0)

    threading.Thread(target=read, daemon=True).start()
    while True:
        yield waiting.get()


def main() -> None:
    # the client and its imports print to 1; our lines go where they cannot write
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    lock = threading.Lock()

    def send(message: dict[str, Any]) -> None:
        with lock:
            out.write(json.dumps(message) + "\n")
            out.flush()

    prepare()
    limit_memory(TQ_MEMORY.most)
    requests = read_requests(sys.stdin)
    access = next(requests)
    session = Session(access, send)
    for request in requests:
        try:
            send({"result": CALLS[request["call"]](session, **request["args"])})
        except BaseException as error:
            failure = classify(error)
            detail = {"message": str(failure), "symbols": failure.symbols}
            send({"error": {"kind": failure.kind, **detail}})


if __name__ == "__main__":
    main()
