"""The tasks of a load: those requested, or those that an earlier job left undone."""

from collections.abc import Iterator, Sequence
from importlib import import_module

from loaders.engine import failed_keys
from loaders.engine.jobs import Task
from loaders.engine.request import LoadRequest
from loaders.engine.source import Unit
from loaders.tdx.client.answers import EXCHANGES
from loaders.tdx.context import Context, Dataset
from loaders.tdx.datasets import (
    capital_events,
    codes,
    corporate_actions,
    index_kline,
    minute_5m,
    sectors,
    trading_calendar,
)
from loaders.tdx.files import gbbq
from loaders.tdx.files.vipdoc import UNTRADED, has_trade
from quotemill.errors import UpstreamError, UsageError
from quotemill.instrument_ranges import classify_code, explain_kind

# in the order of loading: day bars come before minutes and ticks, which are checked against them
NAMES = (
    "codes",
    "trading_calendar",
    "kline_daily",
    "index_kline",
    "stock_info",
    "minute_1m",
    "minute_5m",
    "tick_trade",
    "quote_snapshot",
    "market_stats_snapshot",
    "kline_weekly",
    "kline_monthly",
    "kline_5m",
    "kline_15m",
    "kline_30m",
    "kline_60m",
    "kline_adjusted",
    "capital_events",
    "sectors",
    "corporate_actions",  # last: quote servers that are gone end the load
)
# each has a module with its name
DATASETS: tuple[Dataset, ...] = tuple(
    import_module(f"loaders.tdx.datasets.{name}").DATASET for name in NAMES
)
# the code list and the calendar are loaded by every load, planned or not
PLANNED = NAMES[2:]
# each is read whole, from one or more of the desktop client's files
CLIENT_DATASETS = {"capital_events": (capital_events.KEY,), "sectors": sectors.KEYS}
WHOLE = ("index_kline", "market_stats_snapshot", *CLIENT_DATASETS)
PER_CODE = tuple(n for n in PLANNED if n not in WHOLE)

# datasets that the client's folder has without a service, with the period of its files of bars
FILE_DATASETS: dict[str, str | None] = {
    "codes": None,
    "trading_calendar": None,
    "kline_daily": "day",
    "index_kline": None,
    "minute_1m": "minute1",
    "minute_5m": "minute5",
    "corporate_actions": None,
    **dict.fromkeys(CLIENT_DATASETS),
}
# parts of these come from other places than the quote servers
NOT_OF_SERVERS = {"stock_info", "market_stats_snapshot", "kline_adjusted"}
REALTIME = ("minute_1m", "tick_trade", "quote_snapshot")
_ALWAYS = (
    "codes",
    "trading_calendar",
    "kline_daily",
    "index_kline",
    "minute_1m",
    "minute_5m",
    "corporate_actions",
    *CLIENT_DATASETS,
)
DEFAULTS: dict[str, tuple[str, ...]] = {
    "init": (*_ALWAYS, "stock_info", "quote_snapshot"),
    "incremental": (*_ALWAYS, "tick_trade"),
    "realtime": REALTIME,
}


def plan(ctx: Context) -> Iterator[Sequence[Unit]]:
    """The steps of a load: code list and calendar, then all that depends on them."""
    if ctx.mode == "realtime":
        ctx.days = trading_calendar.trading_days(ctx.ask(trading_calendar.stored), ctx.today)
        if ctx.today not in ctx.days:
            ctx.load.reporter.line(f"{ctx.today} is not a trading day: nothing to do")
            return
        ctx.securities = ctx.ask(codes.known)
        if not ctx.securities:
            yield [Unit("codes", (codes.KEY,))]
            ctx.securities = ctx.ask(codes.known)
    else:
        yield [Unit("codes", (codes.KEY,))]
        ctx.securities = ctx.ask(codes.known)
        yield [Unit("trading_calendar", (trading_calendar.KEY,))]
        ctx.days = ctx.ask(trading_calendar.stored)
        if not ctx.days and ctx.service is None:
            ctx.days = trading_calendar.trading_days([], ctx.today)
    wanted = _select_codes(ctx)
    units = None if ctx.load.retried is None else plan_retry(ctx.load.retried)
    yield plan_request(ctx, wanted) if units is None else units


def choose_datasets(request: LoadRequest) -> tuple[str, ...]:
    """The datasets of a request, in the order of loading."""
    if request.datasets is not None:
        wanted = request.datasets
    else:
        wanted = DEFAULTS[request.mode]
        if request.keys is not None:
            wanted = tuple(name for name in wanted if name in PER_CODE)
    return tuple(name for name in NAMES if name in wanted)


def plan_request(ctx: Context, wanted: Sequence[str]) -> list[Unit]:
    """The tasks of a request, as far as service and files can have the data."""
    request, settings = ctx.load.request, ctx.settings
    units: list[Unit] = []
    chosen = {*choose_datasets(request)}
    if settings.actions_source == gbbq.ROUTE and corporate_actions.NAME in chosen:
        chosen = chosen - {corporate_actions.NAME} | {capital_events.NAME}
        # what failed at another source, or when gbbq landed by code, is repaired by no other task
        units.append(Unit(corporate_actions.NAME, tuple(_read_failed(ctx, corporate_actions.NAME))))
    for name in NAMES:
        if name not in chosen:
            continue
        if settings.servers and name in NOT_OF_SERVERS:
            continue
        if ctx.service is None and name not in FILE_DATASETS:
            continue  # check_request refuses it if the user named it
        if name == "index_kline":
            in_files = [c for c in ctx.day_files if ctx.instrument_type(c) == "index"]
            served = ctx.service is not None
            units.append(Unit(name, index_kline.keys(settings.indices, in_files, served=served)))
        elif name == "market_stats_snapshot":
            units.append(Unit(name, EXCHANGES))
        elif name in CLIENT_DATASETS:
            if settings.client:
                units.append(Unit(name, CLIENT_DATASETS[name]))
        elif name == corporate_actions.NAME:
            units.append(Unit(name, tuple(wanted)))
        elif name in PLANNED:
            units += _split_codes(ctx, name, _available_codes(ctx, name, wanted))
    return [unit for unit in units if unit.keys]


def _available_codes(ctx: Context, name: str, wanted: Sequence[str]) -> Sequence[str]:
    """The codes that a load can have rows of: those with a file, where nothing else has them."""
    period, request = FILE_DATASETS.get(name), ctx.load.request
    in_files_alone = name == minute_5m.NAME
    named = request.keys and (request.datasets or not in_files_alone)
    if period is None or named or (ctx.service is not None and not in_files_alone):
        return wanted
    if ctx.folder is None:
        return ()
    # a file that could not be read and is gone now fails no longer
    known = {*ctx.folder.bars(period), *_read_failed(ctx, name)}
    return [code for code in wanted if code in known]


def _read_failed(ctx: Context, dataset: str) -> list[str]:
    """The keys of a dataset whose newest load failed."""
    failed = ctx.ask(failed_keys.read_failures)
    return [f.key for f in failed if (f.source, f.dataset) == (ctx.load.source, dataset)]


def plan_retry(tasks: Sequence[Task]) -> list[Unit] | None:
    """The unfinished tasks of an earlier job; None if all must be planned again."""
    planned = [t for t in tasks if t.dataset in PLANNED]
    base = [t for t in tasks if t.dataset in NAMES[:2]]
    if not planned or any(t.status != "succeeded" for t in base):
        return None  # after a failed list or calendar the tasks are not known
    units = [
        Unit(t.dataset, CLIENT_DATASETS.get(t.dataset, t.keys), t.exchange)
        for t in planned
        if t.status not in ("succeeded", "skipped")
    ]
    barless = {c for t in planned if t.dataset == "kline_daily" for c in t.keys}
    for name in ("minute_1m", "tick_trade"):
        same_dataset = [t for t in planned if t.dataset == name]
        # a code whose day bars failed had nothing due here
        missed = barless.difference(*(t.keys for t in same_dataset)) if same_dataset else ()
        units += [
            Unit(name, tuple(sorted(c for c in missed if c[:2] == exchange)), exchange)
            for exchange in sorted({c[:2] for c in missed})
        ]
    return units


def _select_codes(ctx: Context) -> list[str]:
    """The codes of the request, without those that cannot be loaded. Raises UsageError."""
    request, exchange = ctx.load.request, ctx.load.request.options.get("exchange")
    # a code that is no longer listed can have a history in files
    loadable = [
        s.code
        for s in ctx.securities.values()
        if s.instrument_type != "index" and (s.is_listed or s.code in ctx.day_files)
    ]
    if request.keys is None and not ctx.securities and {*PER_CODE} & {*choose_datasets(request)}:
        raise UpstreamError(
            "the code list is empty, so nothing can be requested",
            hint="Run `loaders check tdx`, then load codes.",
        )
    if request.keys is None:
        selected = sorted(c for c in loadable if exchange in (None, c[:2]))
        if exchange and not any(c[:2] == exchange for c in loadable):
            raise UpstreamError(f"the code list has no code of exchange {exchange}")
        return selected
    refused = {code: explain_kind(code) for code in request.keys if code not in loadable}
    # without one the list failed and nothing is stored: other codes are accepted as given
    if ctx.securities:
        refused = {code: why or _explain_absence(ctx, code) for code, why in refused.items()}
    mistakes: dict[str, list[str]] = {}
    for code, why in sorted(refused.items()):
        if why:
            mistakes.setdefault(why, []).append(code)
    named = [f"{', '.join(codes)}: {why}" for why, codes in mistakes.items()]
    wanted = sorted(set(request.keys).difference(*mistakes.values()))
    if not wanted:
        raise UsageError(
            "; ".join(named),
            hint="Run `loaders run tdx` without --codes to load everything available.",
        )
    for text in named:
        ctx.load.warn(text)
    return wanted


def _explain_absence(ctx: Context, code: str) -> str:
    """Why no source that was asked has a code of a kind that is modelled."""
    is_index = classify_code(code) == "index"
    if is_index and code in ctx.day_files:
        return (
            "an index: run `loaders run tdx --dataset index_kline` without --codes to load indices"
        )
    if code in ctx.day_files and not has_trade(ctx.day_files[code]):
        return f"its day-bar file {UNTRADED}"
    places = []
    if ctx.folder is not None:
        places.append("not in the client's folder")
    if ctx.service is not None and is_index:
        places.append("an index that is not in tdx.indices")
    elif ctx.service is not None:
        places.append("not in the service's code list (which never has B shares)")
    return ", ".join(places)


def _split_codes(ctx: Context, dataset: str, keys: Sequence[str]) -> list[Unit]:
    """Split codes into tasks of one exchange and at most `batch_size` codes each.

    A client's folder that fills an empty table is one task: its rows land together, with the key.
    """
    landed = next(d.landed for d in DATASETS if d.name == dataset)
    size = ctx.settings.batch_size
    if keys and ctx.service is None and landed.takes_copies and ctx.is_empty(landed):
        return [Unit(dataset, tuple(keys))]
    by_exchange = {e: tuple(c for c in keys if c[:2] == e) for e in EXCHANGES}
    return [
        Unit(dataset, members[start : start + size], exchange)
        for exchange, members in by_exchange.items()
        for start in range(0, len(members), size)
    ]
