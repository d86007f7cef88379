"""`loaders sandbox tdx` as a user starts it."""

import csv
import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from pytdx.hq import TdxHq_API

COMMAND = [sys.executable, "-c", "from loaders.cli import main; main()", "sandbox", "tdx"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_sandbox_prints_its_address_and_ends_quietly(
    number: signal.Signals, tmp_path: Path
) -> None:
    actions = tmp_path / "actions.csv"
    size = ["--port", "0", "--control-port", "0", "--codes", "12", "--days", "60"]
    process = subprocess.Popen(
        [
            *COMMAND,
            *size,
            "--fault",
            "empty:kline-all:first=1",
            "--write-actions",
            str(actions),
            "--write-vipdoc",
            str(tmp_path / "vipdoc"),
            "--vipdoc-days",
            "2",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        match = re.match(
            r"TDX sandbox on (http://127\.0\.0\.1:\d+)  clock=2025-06-30T18:00:00", line
        )
        assert match, line
        assert line.endswith("  codes=16  days=60\n")
        _, _, servers = process.stdout.readline().strip().partition("QUOTEMILL_TDX__SERVERS=")
        assert process.stdout.readline().endswith(": --as-of 2025-06-30T18:00\n")
        host, _, port = servers.partition(":")
        with TdxHq_API().connect(host, int(port)) as api:
            assert len(api.get_index_bars(9, 1, "000001", 0, 800)) == 60
        path = match[1] + "/api/kline-all?code=sz000001"
        assert httpx.get(path).json()["data"]["list"] is None
        assert httpx.get(path).json()["data"]["count"] == 60
    finally:
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (0, "", "")
    with actions.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert {row["code"] for row in rows} > {"SH600000", "SZ159915"}
    assert {row["category"] for row in rows} >= {"1", "11"}
    minutes = tmp_path / "vipdoc" / "sz" / "minline" / "sz000001.lc1"
    assert minutes.stat().st_size == 2 * 240 * 32


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--fault", "explode"], "half-init"),
        (["--clock", "tomorrow"], "2025-06-30"),
        (["--data", "nowhere"], "no daily_"),
        (["--days", "20000"], "trading days"),
        (["--zone", "mars"], "--zone utc"),
    ],
)
def test_a_wrong_call_is_a_usage_error_that_helps(arguments: list[str], says: str) -> None:
    done = subprocess.run(
        [*COMMAND, "--port", "0", *arguments], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2
    assert says in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
