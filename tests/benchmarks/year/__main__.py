"""`make bench-year`: minutes, ticks and option chains at size, each beside its limit.

A home is filled step by step. A step that is done is left out the next time, so you can stop and
continue. `--only` repeats steps. With --factor 1 it takes 30 GB and hours.
"""

import argparse
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from loaders.warehouse.embedded import server as embedded
from tests.benchmarks import page
from tests.benchmarks.builds import Home
from tests.benchmarks.year import chains, commands, service, shares, ticks, trades
from tests.benchmarks.year.place import Figure, Year

STEPS: dict[str, Callable[[Year], list[Figure]]] = {
    "history": shares.load_history,
    "build": shares.build_first,
    "correction early": shares.correct_day,
    "more": shares.load_more,
    "correction": shares.correct_day,
    "nights": shares.run_nights,
    "service night": service.run_service_night,
    "chains": chains.load_chains,
    "chain night": chains.run_chain_night,
    "ticks": ticks.run_tick_night,
    "trades": trades.run_trade_night,
    "idle": commands.run_idle,
    "reads": commands.read_back,
    "sizes": commands.measure_sizes,
    "dump": commands.dump_and_restore,
    "archive": chains.archive_month,
}
DEFAULT_HOME = page.ROOT / "var" / "year"


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    # as Ctrl-C does: servers end with the process that started them
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with open_year(options.home, options.factor, options.url) as year:
        year.restore()
        for name in options.only or [name for name in STEPS if name not in year.figures]:
            print(f"{name} …", file=sys.stderr, flush=True)
            year.keep(name, STEPS[name](year))
            print(write_table(year.figures[name]), file=sys.stderr, flush=True)
        figures = [figure for name in STEPS for figure in year.figures.get(name, ())]
    print(write_table(figures))
    print(f"factor {options.factor:g}; {page.machine()}; figures: {year.record}")
    return 0


@contextmanager
def open_year(folder: Path, factor: float, url: str | None) -> Iterator[Year]:
    """The home, its server or the one at `url`, and a home with two codes; servers are stopped."""
    homes = []
    for name, own in (("home", url), ("small", None)):
        home = folder.resolve() / name
        home.mkdir(parents=True, exist_ok=True)
        home.chmod(0o755)  # as root the server runs as another user
        settings = {"QUOTEMILL_TDX__CLIENT": f"{home}/client", "QUOTEMILL_WAREHOUSE_URL": own or ""}
        homes.append(Home(home, own or embedded.ensure_running(home).url, settings))
    try:
        yield Year(homes[0], factor, homes[1])
    finally:
        for home in homes:
            embedded.stop(home.folder)


def write_table(figures: list[Figure]) -> str:
    """Both sides of each ratio; `net` leaves out what the commands take with nothing to do."""
    head = ("measured", "", "limit", "", "×", "net ×", "aim")
    return page.table(head, map(_write_row, figures))


def _write_row(figure: Figure) -> tuple[str, ...]:
    met = {None: figure.aim, True: f"{figure.aim} {page.MET}", False: f"{figure.aim} {page.MISSED}"}
    ratios = ("" if ratio is None else f"{ratio:.2f}" for ratio in (figure.ratio, figure.net_ratio))
    limit = "" if figure.limit is None else _write_value(figure.limit, figure.unit)
    value = _write_value(figure.value, figure.unit)
    return (figure.name, value, limit, figure.limit_name, *ratios, met[figure.is_met])


def _write_value(value: float, unit: str) -> str:
    return f"{value:,.2f} s" if unit == "s" else f"{value:,.0f} {unit}".replace(" /", "/")


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.year", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=STEPS, metavar="STEP", help=", ".join(STEPS))
    parser.add_argument("--factor", type=float, default=1.0, help="of codes, contracts, products")
    parser.add_argument("--home", type=Path, default=DEFAULT_HOME, help="folder, kept afterwards")
    parser.add_argument("--url", help="an empty database, such as one with TimescaleDB")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
