"""The source of China futures."""

import logging
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from loaders.engine.load import Load
from loaders.engine.operations import DISCONNECT_WORDS
from loaders.engine.source import Insight, Requests, Source
from loaders.ticks.open_store import open_store
from loaders.tq.check import check
from loaders.tq.client.harvest import Harvest
from loaders.tq.context import Context
from loaders.tq.coverage import read_coverage
from loaders.tq.doctor import check_setup
from loaders.tq.next_steps import list_next_steps, preview
from loaders.tq.plan import DATASETS, plan
from loaders.tq.request import (
    DATASETS_BY_MODE,
    TICKS,
    check_request,
    lane,
    parts,
    resolve,
    when_busy,
)
from loaders.tq.tables import TABLES
from loaders.tq.tick_days.manifest_facts import collect_facts
from loaders.tq.trading_day import EVENING
from loaders.trading_time import resting_since

log = logging.getLogger(__name__)
SLICE = 20  # keys in one package of rows


@contextmanager
def open_load(load: Load) -> Iterator[Context]:
    """Harvest and tick store of the load; the folder of a killed one is deleted first."""
    folder = load_folder(load)
    for stale in (folder, folder.with_name("answers")):  # the latter is of older versions
        shutil.rmtree(stale, ignore_errors=True)
    folder.mkdir(parents=True)
    halted = threading.Event()

    def announce(text: str) -> None:
        load.reporter.line(text)
        load.note("warning", text)

    def stop() -> bool:
        return halted.is_set() or load.cancelling()

    is_for_ticks = load.request.mode == TICKS
    store = open_store(load.settings, load.warehouse, start=True) if is_for_ticks else None
    try:
        with Harvest(
            load.settings.tq,
            folder / "harvest",
            stop=stop,
            report=log.debug,
            announce=announce,
            hold=partial(load.hold, "servers"),
        ) as harvest:
            yield Context(
                load,
                harvest,
                recorded=folder.with_name("recorded"),
                halted=halted,
                store=store,
            )
    finally:
        if store is not None:
            store.close()
        shutil.rmtree(folder, ignore_errors=True)


def load_folder(load: Load) -> Path:
    """The load's own folder; the lane's lock, in the warehouse, keeps others out."""
    from loaders.warehouse import migrate

    return load.settings.home / "tq" / migrate.warehouse_id(load.warehouse) / lane(load.request)


SOURCE = Source(
    name="tq",
    tables=TABLES,
    datasets=DATASETS,
    slice_size=lambda _: SLICE,
    check=check,
    open=open_load,
    plan=plan,
    requests=Requests(
        modes=DATASETS_BY_MODE,
        check=check_request,
        resolve=resolve,
        lane=lane,
        when_busy=when_busy,
        parts=parts,
        rests_since=lambda _, now: resting_since(now, ready=EVENING),
    ),
    insight=Insight(
        due=list_next_steps,
        preview=preview,
        log_keywords={
            "disconnect": (*DISCONNECT_WORDS, "no connection"),
            "permission": ("permission", "account", "log-in", "login"),
            "timeout": ("no response in time", "timed out", "timeout"),
        },
        coverage=read_coverage,
        doctor=check_setup,
        needs_holidays=True,
        uncounted=("bytes",),
        facts=collect_facts,
    ),
)
