"""`loaders sandbox`: simulated services, to try everything without an account or a network."""

import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from loaders.engine.signals import handled
from quotemill.errors import UsageError
from quotemill.installation import install_hint

if TYPE_CHECKING:
    from loaders.sandbox.faults import Kind
    from loaders.sandbox.server.sandbox import Sandbox
    from loaders.sandbox.tq.exchange import Exchange
    from loaders.sandbox.world.world import World

app = typer.Typer(no_args_is_help=True, help="Run a simulated data source.")

Port = Annotated[int, typer.Option(min=0, max=65535, help="Port on 127.0.0.1 (0 = any free port).")]
ControlPort = Annotated[
    int | None,
    typer.Option(
        min=0,
        max=65535,
        help="Second port, to move the clock and inject faults (0 = any free port).",
    ),
]

Clock = Annotated[
    str | None, typer.Option(help="Simulated time: 2025-12-12 (18:00) or 2025-12-12T10:15:00.")
]
Fault = Annotated[
    list[str] | None,
    typer.Option(
        help="Inject a fault, such as disconnect:after=6. Can be repeated. `--fault list` "
        "shows all faults."
    ),
]


@app.callback()
def sandbox() -> None:
    """Run a simulated service on this machine."""


@app.command()
def tdx(
    port: Port = 8080,
    control_port: ControlPort = None,
    data: Annotated[
        Path | None,
        typer.Option(help="Replay a folder of daily_*.csv files."),
    ] = None,
    codes: Annotated[int, typer.Option(help="Number of codes in the simulated market.")] = 30,
    days: Annotated[
        int, typer.Option(help="Number of trading days in the simulated market.")
    ] = 500,
    seed: Annotated[
        int, typer.Option(help="Random seed. The same seed gives the same market and faults.")
    ] = 1,
    clock: Clock = None,
    fault: Annotated[
        list[str] | None,
        typer.Option(
            help="Inject a fault, such as reset:p=0.05. Can be repeated. `--fault list` shows "
            "all faults."
        ),
    ] = None,
    write_actions: Annotated[
        Path | None, typer.Option(help="Write the market's corporate actions to this CSV file.")
    ] = None,
    write_vipdoc: Annotated[
        Path | None,
        typer.Option(
            help="Write the market as a desktop client's folder: vipdoc, with T0002 next to it."
        ),
    ] = None,
    vipdoc_days: Annotated[
        int | None, typer.Option(min=1, help="Write minute bars only for this many recent days.")
    ] = None,
    zone: Annotated[
        str, typer.Option(help="Time zone of the simulated host: shanghai (+08:00) or utc (Z).")
    ] = "shanghai",
    timeout_delay: Annotated[
        float, typer.Option(help="Seconds that the service waits for its quote server.")
    ] = 2.0,
    build: Annotated[
        str, typer.Option(help="Public build to simulate: 2025-11 or 2026-04.")
    ] = "2025-11",
) -> None:
    """Simulate the TDX HTTP service until Ctrl-C.

    Example:

        loaders sandbox tdx --write-actions actions.csv --fault reset:p=0.05
    """
    from loaders.sandbox.tdx.calls import Options
    from loaders.sandbox.tdx.faults import FRAME_KINDS, KINDS
    from loaders.sandbox.tdx.quote_answers import answer_request
    from loaders.sandbox.tdx.quote_server import QuoteServer
    from loaders.sandbox.tdx.service import EXAMPLE, TdxSandbox
    from loaders.sandbox.world.clock import parse_clock

    if fault == ["list"]:
        _list_faults(KINDS | FRAME_KINDS, width=20)
        return
    if zone not in ("shanghai", "utc"):
        raise UsageError(f"unknown time zone: {zone!r}", hint="Use --zone shanghai or --zone utc.")
    if build not in ("2025-11", "2026-04"):
        raise UsageError(
            f"unknown build: {build!r}", hint="Use --build 2025-11 or --build 2026-04."
        )
    end = parse_clock(clock, EXAMPLE) if clock else None
    world = _make_stock_market(data, codes, days, seed=seed, end=end)
    if write_actions:
        from loaders.sandbox.world.actions import actions_csv

        try:
            write_actions.write_text(actions_csv(world.all_actions()), encoding="utf-8")
        except OSError as error:
            raise UsageError(f"cannot write {write_actions}: {error.strerror}") from error
    if write_vipdoc:
        from loaders.sandbox.tdx.client_files import (
            write_client_files,
            write_sectors,
        )
        from loaders.sandbox.tdx.vipdoc_files import write_vipdoc as write_files

        write_files(world, write_vipdoc, until=end, days=vipdoc_days)
        client = write_vipdoc.parent if write_vipdoc.name == "vipdoc" else write_vipdoc
        for write in (write_client_files, write_sectors):
            write(world, client / "T0002" / "hq_cache")
    sandbox = TdxSandbox(
        world,
        clock=clock,
        faults=fault or (),
        port=port,
        control_port=control_port,
        seed=seed,
        options=Options(zone, timeout_delay, build),
    )
    quotes = QuoteServer(partial(answer_request, sandbox.state))
    with quotes, _run(sandbox):
        known = sum(day <= sandbox.clock.date() for day in world.days)
        size = f"codes={len(world.securities)}  days={known}"
        typer.echo(f"TDX sandbox on {sandbox.url}  {_describe(sandbox)}  {size}")
        host, number = quotes.address
        typer.echo(f"# or use its quote server: export QUOTEMILL_TDX__SERVERS={host}:{number}")
        now = sandbox.clock.isoformat(timespec="minutes")
        typer.echo(f"# this market ends in the past, so add: --as-of {now}")


@app.command()
def tq(
    port: Port = 7788,
    control_port: ControlPort = None,
    data: Annotated[
        Path | None, typer.Option(help="Replay the ticks_* and klines_* files in this folder.")
    ] = None,
    variety: Annotated[
        list[str] | None,
        typer.Option(help="Product to simulate, such as SHFE.cu. Can be repeated."),
    ] = None,
    ticks_per_day: Annotated[
        int, typer.Option(min=1, max=20_000, help="Ticks per day for each main contract.")
    ] = 120,
    seed: Annotated[
        int, typer.Option(help="Random seed. The same seed gives the same market.")
    ] = 1,
    clock: Clock = None,
    fault: Fault = None,
) -> None:
    """Simulate the servers of TqSdk (China futures) until Ctrl-C.

    Example:

        loaders sandbox tq --variety SHFE.cu --fault disconnect:after=6
    """
    from loaders.sandbox.tq.faults import KINDS

    if fault == ["list"]:
        _list_faults(KINDS, width=14)
        return
    try:
        from loaders.sandbox.tq.service import TqSandbox
    except ImportError as error:
        raise UsageError("the TqSdk sandbox needs aiohttp", hint=install_hint("tq")) from error
    world = _make_futures_market(data, variety or (), ticks_per_day, seed=seed)
    sandbox = TqSandbox(world, fault or (), clock, port=port, control_port=control_port)
    with _run(sandbox):
        typer.echo(f"# TqSdk sandbox on {sandbox.url}  {_describe(sandbox)}")
        _print_settings("TQ", sandbox.settings())
        # by the machine's clock this market has already ended
        now = sandbox.clock.isoformat(timespec="minutes")
        typer.echo(f"# quotemill run tq --as-of {now}")


@app.command()
def ib(
    port: Port = 4002,
    control_port: ControlPort = None,
    symbols: Annotated[
        str | None,
        typer.Option(
            help="Stocks and indices to simulate, separated by commas. Unknown stocks are invented."
        ),
    ] = None,
    synthetic: Annotated[
        int,
        typer.Option(
            min=0, max=250, help="Number of additional invented stocks (SYN001, SYN002 and so on)."
        ),
    ] = 0,
    seed: Annotated[
        int, typer.Option(help="Random seed. The same seed gives the same market.")
    ] = 7,
    split: Annotated[
        list[str] | None,
        typer.Option(
            help="Add a split: AAPL:2026-11-20:4 gives four shares for one from that day "
            "on. Can be repeated."
        ),
    ] = None,
    dividend: Annotated[
        list[str] | None,
        typer.Option(
            help="Add a special dividend: AAPL:2026-12-01:5.00 pays 5 dollars per share "
            "on that ex-date. Can be repeated."
        ),
    ] = None,
    clock: Annotated[
        str,
        typer.Option(help="Simulated time in New York: 2026-11-19 (18:00) or 2026-11-19T10:00:00."),
    ] = "2026-11-19T10:00:00",
    zone: Annotated[
        str, typer.Option(help="Time zone of the login, an IANA name such as Asia/Shanghai.")
    ] = "America/New_York",
    fault: Fault = None,
) -> None:
    """Simulate an IB Gateway (US stocks, indices and their options) until Ctrl-C.

    Example:

        loaders sandbox ib --clock 2026-11-19T09:30:00 --fault permission:symbol=MSFT
    """
    from loaders.sandbox.ib.faults import KINDS

    if fault == ["list"]:
        _list_faults(KINDS, width=15)
        return
    from loaders.sandbox.ib.dividends import parse_special
    from loaders.sandbox.ib.indices import INDICES
    from loaders.sandbox.ib.service import IbSandbox
    from loaders.sandbox.ib.splits import parse_split
    from loaders.sandbox.ib.stocks import LISTED, invent_symbols
    from loaders.sandbox.ib.world import World

    named = [s.strip() for s in symbols.split(",") if s.strip()] if symbols else None
    chosen = named or [*LISTED, *INDICES]
    splits = [parse_split(text) for text in split or ()]
    specials = [parse_special(text) for text in dividend or ()]
    stocks = [*chosen, *invent_symbols(synthetic)]
    world = World(stocks, seed=seed, splits=splits, specials=specials)
    sandbox = IbSandbox(world, fault or (), clock, port=port, control_port=control_port, zone=zone)
    with _run(sandbox):
        indices = sum(stock.is_index for stock in world.stocks.values())
        size = f"stocks={len(world.stocks) - indices}  indices={indices}"
        typer.echo(f"# IB sandbox on 127.0.0.1:{sandbox.port}  {_describe(sandbox)}  {size}")
        _print_settings("IB", sandbox.settings())


def _list_faults(kinds: "Mapping[str, Kind]", width: int) -> None:
    """Print the kinds of `--fault list`, names in a column of that width."""
    for name, kind in kinds.items():
        options = ":".join(f"{key}={value}" for key, value in kind.options.items())
        typer.echo(f"{name:{width}} {kind.text}{'  (' + options + ')' if options else ''}")


@contextmanager
def _run(sandbox: "Sandbox") -> Iterator[None]:
    """Run a sandbox until SIGINT or SIGTERM; the body prints what a user needs."""
    signals: list[int] = []

    def note(sent: int, _: object) -> None:
        signals.append(sent)

    with handled({signal.SIGTERM: note, signal.SIGINT: note}), sandbox:
        yield
        # in steps, without a lock: a signal just before an endless wait is handled only after it,
        # and a handler must not need a lock that its thread holds
        while not signals:
            time.sleep(0.2)


def _describe(sandbox: "Sandbox") -> str:
    control = f"  control={sandbox.control_url}" if sandbox.control_url else ""
    return f"clock={sandbox.clock.isoformat()}{control}"


def _print_settings(section: str, settings: Mapping[str, object]) -> None:
    for name, value in settings.items():
        text = ",".join(value) if isinstance(value, list) else value
        typer.echo(f"export QUOTEMILL_{section}__{name.upper()}={text}")


def _make_futures_market(
    data: Path | None, varieties: Sequence[str], ticks_per_day: int, *, seed: int
) -> "Exchange":
    if data is not None:
        from loaders.sandbox.tq.replay import Replay

        return Replay(data)
    from loaders.sandbox.tq.world import DEFAULT_VARIETIES, World

    return World(varieties or DEFAULT_VARIETIES, ticks_per_day=ticks_per_day, seed=seed)


def _make_stock_market(
    data: Path | None, codes: int, days: int, *, seed: int, end: datetime | None
) -> "World":
    if data is not None:
        from loaders.sandbox.tdx.replay import ReplayMarket

        return ReplayMarket(data)
    from loaders.sandbox.world.market import DEFAULT_END, SyntheticMarket

    return SyntheticMarket(
        codes=codes, days=days, seed=seed, end=end.date() if end else DEFAULT_END
    )
