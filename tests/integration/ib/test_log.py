"""Refusals of a gateway are in the log, and a log scan counts them."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from loaders import log as runlog
from orchestration.checks import logscan
from tests.integration.ib.bench import Bench


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Path]:
    runlog.start(tmp_path / "logs")
    yield tmp_path / "logs"
    runlog.stop()


def scan_log(log: Path) -> dict[str, int]:
    """Lines of each keyword; the log is empty afterwards."""
    now = datetime.now(UTC)
    scan = logscan.run(log, now - timedelta(hours=1), now + timedelta(hours=1), source="ib")
    assert scan.damaged == 0
    for path in log.iterdir():
        path.unlink()
    return {word: hits.count for word, hits in scan.keywords.items()}


def test_delayed_data_and_missing_permission_are_counted(made: Bench, log: Path) -> None:
    made.sandbox.faults.add("permission:code=354:symbol=MSFT")
    assert made.load("snapshot", slot="10:00", symbols=["MSFT"]).exit_code == 0
    start = datetime(2026, 11, 19, 5, tzinfo=UTC)  # the day of the sandbox is found, too
    scan = logscan.run(log, start, start + timedelta(days=1), source="ib", is_day=True)
    assert scan.keywords["permission"].count >= 1
    hits = scan_log(log)
    assert hits["permission"] >= 1
    assert hits["delayed"] >= 1
    assert "error" not in hits


def test_requested_delayed_data_and_a_busy_client_id_are_no_error(made: Bench, log: Path) -> None:
    made.sandbox.faults.add("permission:code=354:symbol=MSFT")
    chosen = made.with_settings(market_data_type=3)
    made.sandbox.faults.add(f"client-id:id={chosen.settings.ib.client_id}")
    assert chosen.load("snapshot", slot="10:00", symbols=["MSFT"]).exit_code == 0
    assert made.rows("select distinct market_data_type from raw_ib.chain_snapshot") == [(3,)]
    assert "gateway 326" in "".join(path.read_text() for path in log.iterdir())
    assert scan_log(log) == {}


def test_a_notice_is_in_the_log_and_is_no_keyword(made: Bench, log: Path) -> None:
    made.sandbox.faults.add("notice:code=2188:message=It requires an additional subscription")
    assert made.load("snapshot", slot="10:00", symbols=["MSFT"]).exit_code == 0
    assert "gateway 2188" in "".join(path.read_text() for path in log.iterdir())
    assert scan_log(log) == {}


@pytest.mark.long
def test_pacing_and_missing_answers_are_counted(made: Bench, log: Path) -> None:
    rule = made.sandbox.faults.add("error:code=420:message=Invalid query, pacing violation:times=1")
    made.sandbox.faults.add("mute:symbol=MSFT")
    assert made.load("snapshot", slot="10:00").exit_code == 6
    made.sandbox.faults.remove(rule)
    hits = scan_log(log)
    assert hits["pacing"] >= 1
    assert hits["no answer"] >= 1


def test_a_lost_connection_is_counted(made: Bench, log: Path) -> None:
    made.sandbox.faults.add("disconnect:after=5")
    assert made.load("snapshot", slot="10:00").exit_code == 0
    assert scan_log(log)["disconnect"] >= 1
