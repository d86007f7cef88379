"""Which tasks a load has: from what is asked for, or from what an earlier job left undone."""

from collections.abc import Iterator, Sequence

from loaders.jobs import Task
from loaders.run import LoadRequest
from loaders.settings import TdxSettings
from loaders.tdx import actions_load, calendar, codes, indices, klines
from loaders.tdx.answers import EXCHANGES

DATASETS = (
    codes.DATASET,
    calendar.DATASET,
    klines.DATASET,
    indices.DATASET,
    actions_load.DATASET,
)
PER_CODE = (klines.DATASET, actions_load.DATASET)
# the code list and the calendar are loaded by every load, planned or not
PLANNED = (klines.DATASET, indices.DATASET, actions_load.DATASET)
Unit = tuple[str, str | None, tuple[str, ...]]


def chosen(request: LoadRequest) -> tuple[str, ...]:
    """The datasets that a request means."""
    return request.datasets or (PER_CODE if request.codes is not None else DATASETS)


def of_request(request: LoadRequest, wanted: Sequence[str], settings: TdxSettings) -> list[Unit]:
    """Dataset, exchange and codes of each task that the request means."""
    units: list[Unit] = []
    if klines.DATASET in chosen(request):
        units += [
            (klines.DATASET, exchange, tuple(batch))
            for exchange in EXCHANGES
            for batch in slices([c for c in wanted if c[:2] == exchange], settings.batch_size)
        ]
    if indices.DATASET in chosen(request):
        units.append((indices.DATASET, None, tuple(settings.indices)))
    if actions_load.DATASET in chosen(request):
        units.append((actions_load.DATASET, None, tuple(wanted)))
    return units


def of_job(tasks: Sequence[Task]) -> list[Unit] | None:
    """What is left of an earlier job's tasks. None if it ended before it had planned any."""
    planned = [t for t in tasks if t.dataset in PLANNED]
    if not planned:
        return None
    return [
        (t.dataset, t.exchange, t.codes)
        for t in planned
        if t.status not in ("succeeded", "skipped")
    ]


def slices(items: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
