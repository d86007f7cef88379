"""Which tasks a load has: from what is asked for, or from what an earlier job left undone."""

from collections.abc import Iterator, Sequence

from loaders.engine.source import Unit
from loaders.tq import stored
from loaders.tq.context import Context, Dataset
from loaders.tq.datasets import (
    contract,
    contract_daily,
    main_events,
    tick_index,
    ticks,
    trading_day,
    trading_session,
)
from loaders.tq.request import OF_MAPPING, TICKS
from loaders.tq.tick_days.plan import ticks_plan

DATASETS: tuple[Dataset, ...] = (
    trading_day.DATASET,
    trading_session.DATASET,
    contract.DATASET,
    main_events.DATASET,
    contract_daily.DATASET,
    ticks.DATASET,
    tick_index.DATASET,
    tick_index.NO_DATA,
)


def plan(run: Context) -> Iterator[Sequence[Unit]]:
    request = run.load.request
    if request.mode == TICKS:
        yield from ticks_plan(run)
    else:
        yield from _mapping(run, request.datasets or OF_MAPPING)


def _mapping(run: Context, wanted: Sequence[str]) -> Iterator[Sequence[Unit]]:
    """The calendar, then what is dated by it, then the bars of the contracts that are known by then.

    A retry asks for all of it once more: it is little, and each part stands on those before it.
    """
    varieties = run.load.request.keys or tuple(run.settings.varieties)
    yield [Unit("trading_day", (trading_day.KEY,))]
    run.days = run.ask(stored.trading_days)
    second = [
        Unit("trading_session", varieties),
        Unit("contract", varieties),
        Unit("main_events", main_events.keys(varieties)),
    ]
    if units := [unit for unit in second if unit.dataset in wanted]:
        yield units
    if "contract_daily" in wanted and (keys := contract_daily.keys(run, varieties)):
        yield [Unit("contract_daily", keys)]
