"""`loaders run ib --task …` that dies at a point:

    python -m tests.faults.ib_driver DATASET MOMENT TASK

Around the package of a dataset, with it on disk around its rows, or after its first answer.
"""

import os
import signal
import sys
from typing import Any

from loaders.engine import tasks
from loaders.landing import load_job

MOMENTS = (
    "answered",
    "before the package",
    "before its rows",
    "after its rows",
    "after the package",
)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def arm(dataset: str, moment: str) -> None:
    if moment == "answered":
        count = tasks.RunningTask._count

        def counted(run: Any, *rest: Any) -> None:
            count(run, *rest)
            if run.task.dataset == dataset:
                die()

        tasks.RunningTask._count = counted  # type: ignore[method-assign]
        return
    of_package = "package" in moment
    owner: Any = load_job if of_package else load_job.UpsertCopyJob
    name = "land" if of_package else "run"
    work = getattr(owner, name)

    def struck(*args: Any) -> Any:
        table = args[3].name if of_package else args[0]._file_path
        ours = table == dataset if of_package else f"/{dataset}." in table
        if ours and moment.startswith("before"):
            die()
        result = work(*args)
        if ours:
            die()
        return result

    setattr(owner, name, struck)


if __name__ == "__main__":
    dataset_, moment_, task_ = sys.argv[1:]
    arm(dataset_, moment_)
    sys.argv[1:] = ["run", "ib", "--task", task_]
    from loaders.cli import main

    main()
