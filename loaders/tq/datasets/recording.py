"""Dataset `recording`: the ticks of the running session, into files of the home.

It lands no row: a load of ticks takes the files (loaders.tq.tick_days.recent_ticks), because the
schedule of the day is built in the evening.
"""

from collections.abc import Iterator, Sequence
from datetime import date, timedelta

from loaders.engine.outcome import Outcome, SourceGone
from loaders.engine.source import Keys, Unit
from loaders.tq import landed
from loaders.tq.context import Context, Dataset, describe
from loaders.tq.errors import TqAnswerError, TqTimeout, UnknownSymbol
from loaders.tq.live.recorded import KEPT_DAYS, delete_old
from loaders.tq.live.recorder import Recorder
from loaders.tq.live.stretch import Spans, Stretch, find_stretch
from loaders.tq.request import RECORDING
from loaders.tq.tables import SYMBOL_DAY
from loaders.tq.trading_day import Session, nanoseconds, sessions_on, spans, trading_day_of
from quotemill.errors import UpstreamError

KEY = "session"
NO_SESSION = "no session is open or begins within an hour, so nothing is recorded"
AROUND = timedelta(days=31)  # days of the calendar where none has landed yet


def plan_recording(ctx: Context) -> Iterator[Sequence[Unit]]:
    ctx.stretch = _find_stretch(ctx)
    if ctx.stretch is None:
        ctx.load.reporter.line(NO_SESSION)
        return
    if resting := ctx.stretch.resting:
        ctx.load.reporter.line(f"no session until then: {', '.join(resting)}")
    yield [Unit(RECORDING, (KEY,))]


def fetch(ctx: Context, _: Sequence[str]) -> Iterator[Outcome]:
    assert ctx.stretch is not None
    delete_old(ctx.recorded, nanoseconds(ctx.as_of - timedelta(days=KEPT_DAYS)))
    try:
        Recorder(ctx, ctx.recorded, ctx.stretch).record()
    except UpstreamError as error:
        yield Outcome(KEY, failure=str(error), gone=SourceGone(str(error), hint=error.hint))
    else:
        yield Outcome(KEY)


def _find_stretch(ctx: Context) -> Stretch | None:
    """The stretch at the load's time, by hours that have landed, or are asked for."""
    ctx.days = ctx.ask(landed.trading_days)
    if not ctx.days or ctx.days[-1] <= ctx.today or ctx.days[0] >= ctx.today:
        ctx.days = ctx.harvest.calendar(ctx.today - AROUND, ctx.today + AROUND)
    day = trading_day_of(ctx.as_of, ctx.days)
    if day is None:
        raise UpstreamError(f"the trading calendar ends before {ctx.today}")
    hours: dict[str, Spans] = {}
    for variety in ctx.load.request.keys or ctx.settings.varieties:
        try:
            hours[variety] = spans(day, _read_hours(ctx, variety, day), ctx.days)
        except (UnknownSymbol, TqAnswerError, TqTimeout) as error:
            ctx.load.warn(f"{variety} is not recorded: {describe(error)}")
    if not hours:
        raise UpstreamError("no trading hours available for any product")
    return find_stretch(ctx.as_of, day, hours)


def _read_hours(ctx: Context, variety: str, day: date) -> Sequence[Session]:
    versions = ctx.ask(lambda conn: landed.sessions(conn, variety))
    if versions:
        return sessions_on(day, versions)
    return [Session(*hours) for hours in ctx.fetch_instruments(variety).sessions[variety]]


DATASET = Dataset(
    RECORDING, SYMBOL_DAY, RECORDING, fetch, keys=Keys(part=RECORDING, only=KEY), recurs=False
)
