"""`loaders run tq --mode ticks` that is killed at a point: python -m tests.faults.tq_driver STAGE NUMBER."""

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from loaders.ticks.postgres import PostgresStore
from loaders.tq.datasets import ticks
from loaders.warehouse import landing


def at(number: int, work: Callable[..., Any]) -> Callable[[], None]:
    """A function that does the work when it is called for the given time."""
    called = [0]

    def count() -> None:
        called[0] += 1
        if called[0] == number:
            work()

    return count


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def arm(stage: str, number: int) -> None:
    if stage == "client":
        _before_outcomes(number, _kill_clients)
    elif stage == "answer":
        _before_outcomes(number, lambda _: die())
    elif stage == "written":
        _after(PostgresStore, "write_day", at(number, die))
    elif stage == "indexed":
        _after(PostgresStore, "put_index", at(number, die))
    else:
        _in_landing(number)


def _in_landing(point: int) -> None:
    """Before the package is made, with it on disk, with its rows in the warehouse, and after it."""
    owner, name = (landing, "land") if point in (1, 4) else (landing.UpsertCopyJob, "run")
    work = getattr(owner, name)

    def killed(*args: Any) -> Any:
        of_index = "symbol_day" in (args[0]._file_path if name == "run" else args[3].name)
        if of_index and point < 3:
            die()
        result = work(*args)
        if of_index:
            die()
        return result

    setattr(owner, name, killed)


def _before_outcomes(number: int, work: Callable[[Any], object]) -> None:
    outcome, called = ticks._outcome, [0]

    def counted(run: Any, *rest: Any) -> Any:
        called[0] += 1
        if called[0] == number:
            work(run)
        return outcome(run, *rest)

    ticks._outcome = counted


def _kill_clients(run: Any) -> None:
    for process in list(run.harvest._all):
        if process.alive:
            os.killpg(process._popen.pid, signal.SIGKILL)


def _after(owner: Any, name: str, count: Callable[[], None]) -> None:
    method = getattr(owner, name)

    def counted(*args: Any) -> Any:
        result = method(*args)
        count()
        return result

    setattr(owner, name, counted)


if __name__ == "__main__":
    arm(sys.argv[1], int(sys.argv[2]))
    sys.argv[1:] = ["run", "tq", "--mode", "ticks", "--as-of", sys.argv[3]]
    from loaders.cli import main

    main()
