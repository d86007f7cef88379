"""Which tasks a load has: from what is asked for, or from what an earlier job left undone."""

from collections.abc import Iterator, Sequence

from loaders.jobs import Task
from loaders.run import LoadRequest
from loaders.settings import TdxSettings
from loaders.tdx import (
    actions_load,
    adjusted_bars,
    calendar,
    codes,
    indices,
    klines,
    market_stats,
    minutes,
    quotes,
    service_bars,
    stock_info,
    trades,
    vipdoc_days,
)
from loaders.tdx.dataset import Dataset
from loaders.tdx.service.answers import EXCHANGES

# day bars first: minutes and ticks are judged by them
KEYED: dict[str, Dataset] = {
    dataset.name: dataset
    for dataset in (
        klines.DATASET,
        indices.DATASET,
        stock_info.DATASET,
        minutes.DATASET,
        trades.DATASET,
        quotes.DATASET,
        market_stats.DATASET,
        *service_bars.DATASETS,
        adjusted_bars.DATASET,
        vipdoc_days.DATASET,
    )
}
DATASETS = (codes.DATASET, calendar.DATASET, *KEYED, actions_load.DATASET)
_NOT_BY_CODE = (indices.DATASET.name, market_stats.DATASET.name)
# the code list and the calendar are loaded by every load, planned or not
PLANNED = (*KEYED, actions_load.DATASET)
PER_CODE = tuple(name for name in PLANNED if name not in _NOT_BY_CODE)

_ALWAYS = (codes.DATASET, calendar.DATASET, klines.DATASET.name, indices.DATASET.name)
REALTIME = (minutes.DATASET.name, trades.DATASET.name, quotes.DATASET.name)
DEFAULTS: dict[str, tuple[str, ...]] = {
    "init": (
        *_ALWAYS,
        stock_info.DATASET.name,
        minutes.DATASET.name,
        quotes.DATASET.name,
        actions_load.DATASET,
    ),
    "incremental": (*_ALWAYS, minutes.DATASET.name, trades.DATASET.name, actions_load.DATASET),
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
        if name == indices.DATASET.name:
            units.append((name, None, indices.keys(settings.indices)))
        elif name == market_stats.DATASET.name:
            units.append((name, None, EXCHANGES))
        elif name == actions_load.DATASET:
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
    barless = {c for t in planned if t.dataset == klines.DATASET.name for c in t.codes}
    for name in (minutes.DATASET.name, trades.DATASET.name):
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
