"""`loaders run tq`, of ticks or of the mapping, in which something is killed at a point:

    python -m tests.faults.tq_driver STAGE MOMENT DAY CLOCK [QUESTDB'S FOLDER]

Stages: the futures client's processes, the load itself, QuestDB's server, or that and the load at once; and
`mapping`, a load of main contracts.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from loaders.landing import load_job
from loaders.ticks.postgres import PostgresStore
from loaders.ticks.questdb.http import QuestdbHttp
from loaders.ticks.questdb.staging import StageWriter
from loaders.ticks.questdb.store import QuestdbStore
from loaders.tq.datasets import main_events, ticks
from tests.integration.ticks.servers import kill

STORES = (PostgresStore, QuestdbStore)
# of a load, for each day
OF_A_DAY = ("answered", "written", "indexed")
# of its one package of index rows, or of events and of the days that these cover
OF_LANDING = ("before the package", "before its rows", "after its rows", "after the package")
# of a server, for each day
OF_A_SERVER = ("before the rows", "in the request", "before they are applied", "before the reading")
IN_THE_REQUEST = 0.002  # seconds after its first byte
# of a load of main contracts, beside those of its landing
OF_MAPPING = ("client", "answered")
Strike = Callable[[], object]


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def arm(stage: str, moment: str, day: int, folder: Path | None) -> None:
    if stage == "mapping":
        _in_mapping(moment)
    elif stage == "client":
        _at_outcome(day, _kill_clients)
    elif moment in OF_LANDING:
        _in_landing(moment, "symbol_day")
    elif moment == "answered":
        _at_outcome(day, lambda _: die())
    elif stage == "load":
        for store in STORES:
            _after(store, "write_day" if moment == "written" else "put_index", day, die)
    else:
        assert folder is not None
        _at_server(moment, day, lambda: _kill_server(folder, and_us=stage == "both"))


def _kill_server(folder: Path, *, and_us: bool) -> None:
    kill(folder)
    if and_us:
        die()


def _at_server(moment: str, day: int, strike: Strike) -> None:
    """While the day is written: other writes, and looks at the store, are let pass."""
    armed, write = [False], QuestdbStore.write_day

    def writing(*args: Any) -> Any:
        armed[0] = True
        return write(*args)

    QuestdbStore.write_day = _on(day, writing, write)  # type: ignore[method-assign]
    owner, name = {
        "before the rows": (StageWriter, "send"),
        "in the request": (QuestdbHttp, "rows"),
        "before they are applied": (QuestdbHttp, "wait_applied"),
        "before the reading": (QuestdbStore, "_measure"),
    }[moment]
    work = getattr(owner, name)

    def struck(*args: Any) -> Any:
        if armed[0] and (name != "rows" or args[1].startswith("INSERT")):
            armed[0] = False
            if name == "rows":
                threading.Timer(IN_THE_REQUEST, strike).start()
            else:
                strike()
        return work(*args)

    setattr(owner, name, struck)


def _on(day: int, struck: Callable[..., Any], otherwise: Callable[..., Any]) -> Callable[..., Any]:
    """The first function for the call of that number, the other for all the others."""
    called = [0]

    def counted(*args: Any) -> Any:
        called[0] += 1
        return (struck if called[0] == day else otherwise)(*args)

    return counted


def _in_mapping(moment: str) -> None:
    if moment in OF_LANDING:
        _in_landing(moment, "main_event")
        return
    asked = main_events._events

    def struck(run: Any, key: str) -> Any:
        if moment == "client":
            _kill_clients(run)
        found = asked(run, key)
        if moment == "answered":
            die()
        return found

    main_events._events = _on(1, struck, asked)


def _in_landing(moment: str, table: str) -> None:
    """Around the package, and with it on disk around its rows on their way to the warehouse."""
    of_package = "package" in moment
    owner, name = (load_job, "land") if of_package else (load_job.UpsertCopyJob, "run")
    work = getattr(owner, name)

    def killed(*args: Any) -> Any:
        is_meant = table in (args[3].name if of_package else args[0]._file_path)
        if is_meant and moment.startswith("before"):
            die()
        result = work(*args)
        if is_meant:
            die()
        return result

    setattr(owner, name, killed)


def _at_outcome(day: int, strike: Callable[[Any], object]) -> None:
    outcome = ticks._outcome

    def struck(run: Any, *rest: Any) -> Any:
        strike(run)
        return outcome(run, *rest)

    ticks._outcome = _on(day, struck, outcome)


def _kill_clients(run: Any) -> None:
    for process in list(run.harvest._all):
        if process.alive:
            os.killpg(process._popen.pid, signal.SIGKILL)


def _after(owner: Any, name: str, day: int, strike: Strike) -> None:
    method = getattr(owner, name)

    def struck(*args: Any) -> Any:
        method(*args)
        strike()

    setattr(owner, name, _on(day, struck, method))


if __name__ == "__main__":
    stage_, moment_, day_, clock, *folder_ = sys.argv[1:]
    arm(stage_, moment_, int(day_), Path(folder_[0]) if folder_ else None)
    mode = "mapping" if stage_ == "mapping" else "ticks"
    sys.argv[1:] = ["run", "tq", "--mode", mode, "--as-of", clock]
    from loaders.cli import main

    main()
