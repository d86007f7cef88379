"""The tasks of a load, from its request or from the failures of an earlier job."""

from collections.abc import Iterator, Sequence
from datetime import date

from loaders.engine.source import Unit
from loaders.tq import landed
from loaders.tq.context import Context, Dataset
from loaders.tq.datasets import (
    contract,
    contract_daily,
    contract_minute,
    contract_terms,
    main_events,
    recording,
    settlement,
    tick_index,
    tick_minute,
    ticks,
    trading_day,
    trading_session,
)
from loaders.tq.request import CROSS_CHECK, CROSS_CHECK_DATASETS, LIVE, MAPPING_DATASETS, TICKS
from loaders.tq.tick_days.plan import plan_ticks

DATASETS: tuple[Dataset, ...] = (
    trading_day.DATASET,
    trading_session.DATASET,
    contract.DATASET,
    main_events.DATASET,
    contract_daily.DATASET,
    contract_terms.DATASET,
    settlement.DATASET,
    ticks.DATASET,
    tick_index.DATASET,
    tick_index.NO_DATA,
    recording.DATASET,
    tick_minute.DATASET,
    contract_minute.DATASET,
)


def plan(ctx: Context) -> Iterator[Sequence[Unit]]:
    request = ctx.load.request
    if request.mode == TICKS:
        yield from plan_ticks(ctx)
    elif request.mode == CROSS_CHECK:
        yield from _plan_cross_check(ctx)
    elif request.mode == LIVE:
        yield from recording.plan_recording(ctx)
    else:
        yield from _plan_mapping(ctx, request.datasets or MAPPING_DATASETS)


def _plan_mapping(ctx: Context, datasets: Sequence[str]) -> Iterator[Sequence[Unit]]:
    """The calendar, what is dated by it, then the bars of the contracts known by then.

    A retry asks for all of it once more: it is little, and each part depends on those before it.
    """
    varieties = ctx.load.request.keys or tuple(ctx.settings.varieties)
    yield [Unit("trading_day", (trading_day.KEY,))]
    ctx.days = ctx.ask(landed.trading_days)
    second = [
        Unit("trading_session", varieties),
        Unit("contract", varieties),
        Unit("main_events", main_events.list_keys(varieties, ctx.settings.route)),
    ]
    if units := [unit for unit in second if unit.dataset in datasets]:
        yield units
    if "contract_daily" in datasets and (keys := contract_daily.list_keys(ctx, varieties)):
        yield [Unit("contract_daily", keys)]
    if "contract_terms" in datasets:
        yield [Unit("contract_terms", varieties)]
    if "settlement" in datasets and (keys := settlement.list_keys(ctx, varieties)):
        yield [Unit("settlement", keys)]


def _plan_cross_check(ctx: Context) -> Iterator[Sequence[Unit]]:
    """The vendor's own minutes, to compare with those of ticks; main contracts by the other route.

    The latter is the one that builds no schedule; the longest unchecked come first.
    """
    yield [Unit("trading_day", (trading_day.KEY,))]
    ctx.days = ctx.ask(landed.trading_days)
    [route] = set(main_events.ROUTES) - {ctx.settings.route}

    def last_checked(variety: str) -> date:
        covered = ctx.ask(lambda conn: landed.coverage(conn, variety, route))
        return covered.last_day if covered else date.min

    order = sorted(ctx.load.request.keys or ctx.settings.varieties, key=last_checked)
    datasets = ctx.load.request.datasets or CROSS_CHECK_DATASETS
    if "contract_minute" in datasets and (keys := contract_minute.list_keys(ctx, order)):
        yield [Unit("contract_minute", keys)]
    if "main_events" in datasets:
        yield [Unit("main_events", main_events.list_keys(order, route))]
