"""Which tasks a load has: from what is asked for, or from what an earlier job left undone."""

from collections.abc import Iterator, Sequence

from loaders.engine.jobs import Task
from loaders.engine.request import LoadRequest
from loaders.settings import TdxSettings
from loaders.tdx.dataset import Dataset
from loaders.tdx.datasets import (
    codes,
    corporate_actions,
    index_kline,
    kline_5m,
    kline_15m,
    kline_30m,
    kline_60m,
    kline_adjusted,
    kline_daily,
    kline_monthly,
    kline_weekly,
    market_stats_snapshot,
    minute_1m,
    quote_snapshot,
    stock_info,
    tick_trade,
    trading_calendar,
    vipdoc_daily,
)
from loaders.tdx.service.answers import EXCHANGES

# day bars first: minutes and ticks are judged by them
KEYED: dict[str, Dataset] = {
    dataset.name: dataset
    for dataset in (
        kline_daily.DATASET,
        index_kline.DATASET,
        stock_info.DATASET,
        minute_1m.DATASET,
        tick_trade.DATASET,
        quote_snapshot.DATASET,
        market_stats_snapshot.DATASET,
        kline_weekly.DATASET,
        kline_monthly.DATASET,
        kline_5m.DATASET,
        kline_15m.DATASET,
        kline_30m.DATASET,
        kline_60m.DATASET,
        kline_adjusted.DATASET,
        vipdoc_daily.DATASET,
    )
}
DATASETS = (codes.DATASET, trading_calendar.DATASET, *KEYED, corporate_actions.DATASET)
_NOT_BY_CODE = (index_kline.DATASET.name, market_stats_snapshot.DATASET.name)
# the code list and the calendar are loaded by every load, planned or not
PLANNED = (*KEYED, corporate_actions.DATASET)
PER_CODE = tuple(name for name in PLANNED if name not in _NOT_BY_CODE)

_ALWAYS = (
    codes.DATASET,
    trading_calendar.DATASET,
    kline_daily.DATASET.name,
    index_kline.DATASET.name,
)
REALTIME = (minute_1m.DATASET.name, tick_trade.DATASET.name, quote_snapshot.DATASET.name)
DEFAULTS: dict[str, tuple[str, ...]] = {
    "init": (
        *_ALWAYS,
        stock_info.DATASET.name,
        minute_1m.DATASET.name,
        quote_snapshot.DATASET.name,
        corporate_actions.DATASET,
    ),
    "incremental": (
        *_ALWAYS,
        minute_1m.DATASET.name,
        tick_trade.DATASET.name,
        corporate_actions.DATASET,
    ),
    "realtime": REALTIME,
}
Unit = tuple[str, str | None, tuple[str, ...]]


def chosen(request: LoadRequest) -> tuple[str, ...]:
    """The datasets that a request means, in the order in which they load."""
    if request.datasets is not None:
        wanted = request.datasets
    else:
        wanted = DEFAULTS[request.mode]
        if request.codes is not None:
            wanted = tuple(name for name in wanted if name in PER_CODE)
    return tuple(name for name in DATASETS if name in wanted)


def of_request(request: LoadRequest, wanted: Sequence[str], settings: TdxSettings) -> list[Unit]:
    """Dataset, exchange and keys of each task that the request means."""
    units: list[Unit] = []
    for name in chosen(request):
        if name == index_kline.DATASET.name:
            units.append((name, None, index_kline.keys(settings.indices)))
        elif name == market_stats_snapshot.DATASET.name:
            units.append((name, None, EXCHANGES))
        elif name == corporate_actions.DATASET:
            units.append((name, None, tuple(wanted)))
        elif name in KEYED:
            units += [
                (name, exchange, tuple(batch))
                for exchange in EXCHANGES
                for batch in slices([c for c in wanted if c[:2] == exchange], settings.batch_size)
            ]
    return units


def of_job(tasks: Sequence[Task]) -> list[Unit] | None:
    """What is left of an earlier job's tasks. None if it ended before it had planned any."""
    planned = [t for t in tasks if t.dataset in PLANNED]
    if not planned:
        return None
    units: list[Unit] = [
        (t.dataset, t.exchange, t.codes)
        for t in planned
        if t.status not in ("succeeded", "skipped")
    ]
    barless = {c for t in planned if t.dataset == kline_daily.DATASET.name for c in t.codes}
    for name in (minute_1m.DATASET.name, tick_trade.DATASET.name):
        tasks_of = [t for t in planned if t.dataset == name]
        # nothing was due of a code whose day bars had failed
        missed = barless.difference(*(t.codes for t in tasks_of)) if tasks_of else ()
        units += [
            (name, exchange, tuple(sorted(c for c in missed if c[:2] == exchange)))
            for exchange in sorted({c[:2] for c in missed})
        ]
    return units


def slices(items: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
