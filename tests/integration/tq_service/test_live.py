"""The real client stays connected while the clock of the sandbox moves, as in an open market."""

import json
import subprocess
import sys
from datetime import datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loaders.sandbox.tq.world import World
from loaders.tq.client.process import _environment
from tests.integration.tq_service.conftest import settings_for

if TYPE_CHECKING:
    from loaders.sandbox.tq.service import TqSandbox

SERIES = "KQ.m@SHFE.cu"
# waits for the stamps of quote and newest tick that each line names
WATCHER = """
import json, sys, time
from loaders.tq.client.program.__main__ import prepare
from loaders.tq.client.program.session import Session
prepare()
session = Session(json.loads(sys.stdin.readline()), lambda message: None)
quote = session.api.get_quote(sys.argv[1])
ticks = session.api.get_tick_serial(sys.argv[2], data_length=20)
def seen():
    return [quote.datetime, int(ticks["datetime"].iloc[-1])]
print(json.dumps(quote.underlying_symbol), flush=True)
for line in sys.stdin:
    while seen() != json.loads(line):
        assert session.api.wait_update(deadline=time.time() + 60), seen()
    print(json.dumps(quote.underlying_symbol), flush=True)
session.api.close()
"""


def test_a_connected_client_sees_the_market_move(
    sandbox: "TqSandbox", world: World, tmp_path: Path
) -> None:
    first_day, main = sandbox.market.main_table("SHFE.cu")[-1]
    settings, end = settings_for(sandbox), sandbox.clock
    sandbox.set_clock(datetime.combine(world.previous(first_day), time(14)))
    with subprocess.Popen(
        [sys.executable, "-P", "-c", WATCHER, SERIES, main],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=tmp_path,
        env=_environment(settings, tmp_path),
        text=True,
    ) as watcher:
        assert watcher.stdin is not None
        assert watcher.stdout is not None

        def say(line: Any) -> str:
            """The main contract that the client sees by then."""
            watcher.stdin.write(json.dumps(line) + "\n")
            watcher.stdin.flush()
            return json.loads(watcher.stdout.readline())

        access = {name: sandbox.settings()[name] for name in ("account", "password")}
        assert say(access | {"sandbox": settings.sandbox}) != main
        for clock in (datetime.combine(first_day, time(10)), end):
            sandbox.set_clock(clock)
            newest = sandbox.market.series(main, 0)
            row = newest.row(newest.last_id)
            assert row is not None
            stamp = datetime(1970, 1, 1, 8) + timedelta(microseconds=row["datetime"] // 1000)
            assert say([f"{stamp:%Y-%m-%d %H:%M:%S.%f}", row["datetime"]]) == main
        watcher.stdin.close()
    assert watcher.returncode == 0
