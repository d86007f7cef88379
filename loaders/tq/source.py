"""The source of China futures, and the way of its data.

    lane tq        trading_day ▶ trading_session · contract · main_events ▶ contract_daily
    (dbt)          main events ▶ futures.main_schedule
    lane tq_ticks  schedule − index − days without data ▶ ticks ▶ tick store ▶ symbol_day

The client runs in processes of its own (service/), the only modules that know it. Ticks go to the tick
store (loaders.ticks), are awaited and read back, and only then is their row of the index landed.
"""

import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from loaders.engine.load import Load
from loaders.engine.source import Source
from loaders.tq.check import check
from loaders.tq.context import Context
from loaders.tq.plan import DATASETS, plan
from loaders.tq.request import check_request, lane, missing_settings, parts
from loaders.tq.schemas import REJECTED_ROW, TABLES
from loaders.tq.service.harvest import Harvest

log = logging.getLogger(__name__)
SLICE = 20  # keys in one package of rows


@contextmanager
def opened(load: Load) -> Iterator[Context]:
    """The harvest of the load; what a killed one left of its folder goes first."""
    folder = load.settings.home / "tq" / lane(load.request)
    shutil.rmtree(folder, ignore_errors=True)
    with Harvest(load.settings.tq, folder, stop=load.cancelling, report=log.debug) as harvest:
        yield Context(load, harvest)


SOURCE = Source(
    name="tq",
    tables=TABLES,
    rejected=REJECTED_ROW,
    datasets=DATASETS,
    slice_size=lambda _: SLICE,
    missing=missing_settings,
    check=check,
    check_request=check_request,
    open=opened,
    plan=plan,
    lane=lane,
    parts=parts,
    told_to_dbt=lambda settings: {"tq_route": settings.tq.route},
)
