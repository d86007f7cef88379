"""The tasks of a load: those requested, or those that an earlier job left undone."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from importlib import import_module

from loaders.engine.jobs import Task
from loaders.engine.request import LoadRequest
from loaders.engine.source import Unit
from loaders.errors import UpstreamError
from loaders.tdx.client.answers import EXCHANGES
from loaders.tdx.context import Context, Dataset
from loaders.tdx.datasets import (
    capital_events,
    codes,
    index_kline,
    kline_daily,
    sectors,
    trading_calendar,
)
from loaders.tdx.settings import TdxSettings

# in the order of loading: day bars come before minutes and ticks, which are checked against them
NAMES = (
    *("codes", "trading_calendar", "kline_daily", "index_kline", "stock_info"),
    *("minute_1m", "tick_trade", "quote_snapshot", "market_stats_snapshot"),
    *("kline_weekly", "kline_monthly", "kline_5m", "kline_15m", "kline_30m", "kline_60m"),
    *("kline_adjusted", "vipdoc_daily", "capital_events", "corporate_actions", "sectors"),
)
# each has a module with its name
DATASETS: tuple[Dataset, ...] = tuple(
    import_module(f"loaders.tdx.datasets.{name}").DATASET for name in NAMES
)
# the code list and the calendar are loaded by every load, planned or not
PLANNED = NAMES[2:]
# each is read whole, from one or more of the desktop client's files
OF_CLIENT = {"capital_events": (capital_events.KEY,), "sectors": sectors.KEYS}
WHOLE = ("index_kline", "market_stats_snapshot", *OF_CLIENT)
PER_CODE = tuple(n for n in PLANNED if n not in WHOLE)
NOT_LISTED = "not in the service's code list (which never has B shares)"

# datasets that the client's folder has without a service, with the period of its files of bars
OF_FILES: dict[str, str | None] = {
    **{"codes": None, "trading_calendar": None, "kline_daily": "day", "index_kline": None},
    **{"minute_1m": "minute1", "vipdoc_daily": "day", "corporate_actions": None},
    **dict.fromkeys(OF_CLIENT),
}
REALTIME = ("minute_1m", "tick_trade", "quote_snapshot")
_ALWAYS = (
    *("codes", "trading_calendar", "kline_daily", "index_kline", "minute_1m"),
    *("corporate_actions", *OF_CLIENT),
)
DEFAULTS: dict[str, tuple[str, ...]] = {
    "init": (*_ALWAYS, "stock_info", "quote_snapshot"),
    "incremental": (*_ALWAYS, "tick_trade"),
    "realtime": REALTIME,
}


def plan(run: Context) -> Iterator[Sequence[Unit]]:
    """The steps of a load: code list and calendar, then all that depends on them."""
    if run.mode == "realtime":
        run.days = trading_calendar.trading_days(run.ask(trading_calendar.stored), run.today)
        if run.today not in run.days:
            run.load.reporter.line(f"{run.today} is not a trading day: nothing to do")
            return
        run.securities = run.ask(codes.known)
        if not run.securities:
            yield [Unit("codes", (codes.KEY,))]
            run.securities = run.ask(codes.known)
    else:
        yield [Unit("codes", (codes.KEY,))]
        run.securities = run.ask(codes.known)
        yield [Unit("trading_calendar", (trading_calendar.KEY,))]
        run.days = run.ask(trading_calendar.stored)
        if not run.days and run.service is None:
            run.days = trading_calendar.trading_days([], run.today)
    wanted = _wanted_codes(run)
    units = None if run.load.retried is None else of_job(run.load.retried)
    if units is None:
        units = of_request(run, wanted)
    yield units
    if run.service is None:
        return
    if of_days := {key for unit in units if unit.dataset == "kline_daily" for key in unit.keys}:
        yield _overdue(run, of_days)


def _overdue(run: Context, keys: set[str]) -> list[Unit]:
    """Tasks that request day bars once more.

    If many codes lack the due day, the source answered in part: each of them then fails unless the
    day comes. If only a few lack it, they are suspended.
    """
    window = run.window
    last = bisect_right(run.days, min(window.due, window.until or window.due))
    if not last:
        return []
    due = run.days[last - 1]
    tasks = (task for task in run.load.tasks if task.dataset == "kline_daily")
    failed = {key for task in tasks for key in task.failures}
    found = run.ask(lambda conn: kline_daily.lagging(conn, sorted(keys - failed), run.days, due))
    if not found.codes:
        return []
    what = (
        f"{len(found.codes):,} of {found.traded:,} codes that traded of late have no bar of {due}"
    )
    if not found.too_many and len(found.codes) == found.traded:
        run.load.warn(f"kline_daily: {what}: suspended, or the service's bars stand still")
        return []
    if not found.too_many:
        run.load.log("info", f"kline_daily: {what}", {"codes": found.codes[:20]})
        run.load.reporter.line(f"kline_daily: {what}: suspended")
        return []
    run.load.warn(f"kline_daily: {what}: the service answers in part, asking again")
    run.overdue = dict.fromkeys(found.codes, due)
    return _units("kline_daily", found.codes, run.settings)


def chosen(request: LoadRequest) -> tuple[str, ...]:
    """The datasets of a request, in the order of loading."""
    if request.datasets is not None:
        wanted = request.datasets
    else:
        wanted = DEFAULTS[request.mode]
        if request.keys is not None:
            wanted = tuple(name for name in wanted if name in PER_CODE)
    return tuple(name for name in NAMES if name in wanted)


def of_request(run: Context, wanted: Sequence[str]) -> list[Unit]:
    """The tasks of a request, as far as service and files can have the data."""
    request, settings = run.load.request, run.settings
    units: list[Unit] = []
    for name in chosen(request):
        if run.service is None and name not in OF_FILES:
            continue  # check_request refuses it if the user named it
        if name == "index_kline":
            in_files = [c for c in run.day_files if run.instrument_type(c) == "index"]
            served = run.service is not None
            units.append(Unit(name, index_kline.keys(settings.indices, in_files, served=served)))
        elif name == "market_stats_snapshot":
            units.append(Unit(name, EXCHANGES))
        elif name in OF_CLIENT:
            if settings.client:
                units.append(Unit(name, OF_CLIENT[name]))
        elif name == "corporate_actions":
            units.append(Unit(name, tuple(wanted)))
        elif name in PLANNED:
            units += _units(name, _held(run, name, wanted), settings)
    return [unit for unit in units if unit.keys]


def _held(run: Context, name: str, wanted: Sequence[str]) -> Sequence[str]:
    """The codes that a load can have rows of.

    Without a service these are the codes that have a file or that the user named.
    """
    period = OF_FILES.get(name)
    if run.service is not None or run.folder is None or run.load.request.keys or period is None:
        return wanted
    return [code for code in wanted if code in run.folder.bars(period)]


def of_job(tasks: Sequence[Task]) -> list[Unit] | None:
    """The unfinished tasks of an earlier job.

    None if it ended before it planned any, or if its code list or calendar failed.
    """
    planned = [t for t in tasks if t.dataset in PLANNED]
    base = [t for t in tasks if t.dataset in NAMES[:2]]
    if not planned or any(t.status != "succeeded" for t in base):
        return None  # after a failed list or calendar the tasks are not known
    units = [
        Unit(t.dataset, t.keys, t.exchange)
        for t in planned
        if t.status not in ("succeeded", "skipped")
    ]
    barless = {c for t in planned if t.dataset == "kline_daily" for c in t.keys}
    for name in ("minute_1m", "tick_trade"):
        tasks_of = [t for t in planned if t.dataset == name]
        # a code whose day bars failed had nothing due here
        missed = barless.difference(*(t.keys for t in tasks_of)) if tasks_of else ()
        units += [
            Unit(name, tuple(sorted(c for c in missed if c[:2] == exchange)), exchange)
            for exchange in sorted({c[:2] for c in missed})
        ]
    return units


def _wanted_codes(run: Context) -> list[str]:
    """The codes of the request. Unknown codes fail in a separate task."""
    request, exchange = run.load.request, run.load.request.options.get("exchange")
    # a code that is no longer listed can have a history in files
    loadable = [
        s.code
        for s in run.securities.values()
        if s.instrument_type != "index" and (s.is_listed or s.code in run.day_files)
    ]
    if request.keys is None and not loadable and {*PER_CODE} & {*chosen(request)}:
        raise UpstreamError(
            "no code is known, so nothing can be asked for",
            hint="the code list must load first: `loaders check tdx`",
        )
    if request.keys is None:
        codes_of = sorted(c for c in loadable if exchange in (None, c[:2]))
        if exchange and not codes_of:
            raise UpstreamError(f"no code of exchange {exchange} is known")
        return codes_of
    if (
        not loadable
    ):  # the list failed and nothing is stored: accept the codes as the user gave them
        return sorted(request.keys)
    unknown = sorted(set(request.keys) - set(loadable))
    if unknown:
        task = run.load.add_task("unknown_codes", unknown)
        task.failures = dict.fromkeys(unknown, NOT_LISTED)
        task.status = task.verdict
        run.load.save(task)
        run.load.warn(f"{', '.join(unknown)}: {NOT_LISTED}")
    return sorted(set(request.keys) - set(unknown))


def _units(dataset: str, codes_of: Sequence[str], settings: TdxSettings) -> list[Unit]:
    """Split codes into tasks of one exchange and at most `batch_size` codes each."""
    size = settings.batch_size
    by_exchange = {e: tuple(c for c in codes_of if c[:2] == e) for e in EXCHANGES}
    return [
        Unit(dataset, found[start : start + size], exchange)
        for exchange, found in by_exchange.items()
        for start in range(0, len(found), size)
    ]
