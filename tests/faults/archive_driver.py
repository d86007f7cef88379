"""A command of the storage life cycle that dies at a moment:

python -m tests.faults.archive_driver MOMENT ARGUMENT ...   (quotemill ARGUMENT ...)
"""

import os
import signal
import sys
from typing import Any, NamedTuple

from orchestration.archive import folder, landed, ledger, swap


class Moment(NamedTuple):
    """Before the `nth` call of a function, or after it; what is patched is its module's name."""

    command: str
    owner: Any
    name: str
    nth: int = 1
    is_after: bool = False


MOMENTS = {
    "a file is begun": Moment("archive", folder.Writing, "write"),
    "a file is written": Moment("archive", folder.Writing, "close", 2, True),
    "files are read back": Moment("archive", folder, "settle"),
    "some have their names": Moment("archive", folder, "finish", 2, True),
    "all have their names": Moment("archive", folder, "settle", 1, True),
    "some are recorded": Moment("archive", ledger, "record", 2, True),
    "a view is through": Moment("archive", ledger, "mark", 2, True),
    "a large file is begun": Moment("compact", folder.Writing, "write"),
    "a large file is written": Moment("compact", folder.Writing, "close", 1, True),
    "the swap is planned": Moment("compact", swap, "_carry_out"),
    "some small files are gone": Moment("compact", folder, "remove", 2, True),
    "all small files are gone": Moment("compact", folder, "settle"),
    "the large file has its name": Moment("compact", folder, "finish", 1, True),
    "the large file is recorded": Moment("compact", ledger, "record", 1, True),
    "the small files are forgotten": Moment("compact", ledger, "forget_files", 1, True),
    "the second swap is planned": Moment("compact", swap, "_carry_out", 2),
    "files are read anew": Moment("retention", landed, "delete"),
    "rows are deleted": Moment("retention", landed, "delete", 1, True),
    "rows wait to be inserted": Moment("restore", landed, "insert"),
    "rows are inserted": Moment("restore", landed, "insert", 1, True),
}


def arm(moment: Moment) -> None:
    work, calls = getattr(moment.owner, moment.name), 0

    def struck(*args: Any, **rest: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == moment.nth and not moment.is_after:
            die()
        result = work(*args, **rest)
        if calls == moment.nth:
            die()
        return result

    setattr(moment.owner, moment.name, struck)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    arm(MOMENTS[sys.argv.pop(1)])
    from orchestration.cli import main

    main()
