"""The whole pipeline on a simulated market, with figures to check by hand."""

import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from loaders import trading_time
from loaders.engine.progress import print_line
from loaders.files.process import end_group
from loaders.settings import Settings, load_settings
from loaders.warehouse.embedded import places
from loaders.warehouse.postgres import open_warehouse
from loaders.warehouse.sql_files import read_sql
from orchestration.checks.settings import OF_A_DEMO
from orchestration.run.stages import STAGES, RunResult
from quotemill.errors import QuotemillError

HOME = Path("var/demo")
ACTIONS = HOME / "corporate_actions.csv"
OWN = ("QUOTEMILL_", "DB_", "TDX_")  # prefixes of the user's settings, which the demo ignores
# enough data to explore, and quick to load
MINUTE_DAYS, TICK_DAYS = 10, 3
TUTORIAL = Path(__file__).parents[1] / "docs" / "tutorial.md"
IN_PYTHON = 'import quotemill; print(quotemill.open().klines("600000"))'

RunAll = Callable[[Settings, str, str, Sequence[str]], RunResult]


def run(codes: int, days: int, run_all: RunAll) -> tuple[int, list[str]]:
    """Run the pipeline on the sandbox; return the exit code, and what to do with the data."""
    other = " and not in QUOTEMILL_HOME" if "QUOTEMILL_HOME" in os.environ else ""
    print_line(f"demo: files are kept in {HOME.absolute()}{other}")
    places.make_home(HOME)
    # the search for settings ends here: a file further up may name a real warehouse
    (HOME / "quotemill.toml").write_text(OF_A_DEMO, "utf-8")
    clock = find_last_close(datetime.now(UTC))
    with _sandbox(codes, days, clock) as url:
        settings = load_settings(
            {k: v for k, v in os.environ.items() if not k.startswith(OWN)},
            cwd=HOME,
            home=HOME.absolute(),
            tdx={
                "base_url": url,
                "corporate_actions": ACTIONS.absolute(),
                "minute_days": MINUTE_DAYS,
                "tick_days": TICK_DAYS,
            },
        )
        # at the sandbox's time, whose day stays the same after midnight
        # no alert: nobody waits for the data of a demo
        stages = [stage for stage in STAGES if stage != "alerts"]
        result = run_all(settings, f"{clock}T18:00", "tdx", stages)
    if result.error or not result.judgement or (result.build and not result.build.succeeded):
        return result.exit_code, []
    read = time.monotonic()
    lines = list(describe_data(settings))
    figures = result.judged_in + sum(x.seconds for x in result.stages) + time.monotonic() - read
    print_line(f"findings, report and metrics: {figures:.1f} s")
    return result.exit_code, lines


def start_server(settings: Settings) -> None:
    """Start the embedded server before the load, and say what that takes."""
    started = time.monotonic()
    open_warehouse(settings)
    print_line(f"PostgreSQL: ready in {time.monotonic() - started:.1f} s")


def find_last_close(now: datetime) -> date:
    """The newest trading day that is over, so that the data are as fresh as real data."""
    today = now.astimezone(trading_time.SHANGHAI).date()
    days = trading_time.published_days(today - timedelta(days=30), today)
    newest = trading_time.newest_final(days, now)
    assert newest is not None  # no holiday lasts a month
    return newest


@contextmanager
def _sandbox(codes: int, days: int, clock: date) -> Iterator[str]:
    # -P: the working directory may have a `loaders` of its own
    program = [sys.executable, "-P", "-c", "from loaders.cli import main; main()"]
    command = [*program, "sandbox", "tdx", "--port", "0"]
    command += ["--codes", str(codes), "--days", str(days), "--clock", str(clock)]
    command += ["--write-actions", str(ACTIONS)]
    started = time.monotonic()
    # Ctrl-C must only reach the load, which needs the service to finish its current batch
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stdout is not None
    try:
        ready = process.stdout.readline()
        url = next((word for word in ready.split() if word.startswith("http://")), None)
        if url is None:
            raise QuotemillError(
                "the sandbox did not start", hint="Run `loaders sandbox tdx` to see why."
            )
        seconds = time.monotonic() - started
        print_line(f"simulated TDX service: {url}, ready in {seconds:.1f} s")
        yield url
    finally:
        end_group(process)
        process.stdout.close()


def describe_data(settings: Settings) -> Iterator[str]:
    """A price to check by hand, and the ways to the data, a line each."""
    with open_warehouse(settings).connect() as conn:
        example = conn.execute(read_sql("orchestration", "demo_example").encode()).fetchone()
    if example:
        code, day, *numbers = example
        ex_date = numbers.pop(2)
        raw, adjusted, cash, bonus, rights, price = (_plain(number) for number in numbers)
        yield ""
        yield (
            f"check the close in market.kline_daily_qfq by hand: {code} closed {day} at {raw}; "
            f"on {ex_date} 10 shares got {cash} yuan, {bonus} new shares, "
            f"and the right to {rights} more at {price}:"
        )
        yield (
            f"  ({raw} - ({cash} - {rights} * {price}) / 10) / ((10 + {bonus} + {rights}) / 10) = "
            f"{adjusted}"
        )
    # the folder is named as a shell does: it may be a long one
    shell = [*activate(), f"export QUOTEMILL_HOME=$PWD/{HOME}"]
    yield ""
    yield f"with these data: {'; '.join(shell)}"
    yield "  pages:  quotemill console"
    yield f"  Python: python -c '{IN_PYTHON}'"
    yield "  SQL:    quotemill warehouse psql"
    if TUTORIAL.is_file():  # in a clone
        yield f"  read:   {_shorten(TUTORIAL)}"


def activate() -> list[str]:
    """What makes the commands of this environment known to a shell that does not find them."""
    folder = Path(sys.prefix) / "bin"
    script = folder / "activate"
    if shutil.which("quotemill") == str(folder / "quotemill") or not script.is_file():
        return []
    return [f". {shlex.quote(str(_shorten(script)))}"]


def _shorten(path: Path) -> Path:
    """A path as one types it here."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _plain(number: Decimal | None) -> str:
    """A number without trailing zeros from the scale of its column; 0 for None."""
    return f"{(number or Decimal()).normalize():f}"
