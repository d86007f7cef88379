"""Runs of Dagster whose processes are killed: afterwards the tables are those of a quiet night."""

import os
import signal

import pytest

from tests.faults.dagster.conftest import Night
from tests.faults.scene import wait_until

pytestmark = pytest.mark.soak
LANDING = "raw_tdx.index_kline"  # written after the bars of most codes
UP_FOR_RETRY = "STEP_UP_FOR_RETRY"
BUILDING = "market.kline_daily_qfq"


def test_a_load_whose_run_is_killed_is_awaited_by_the_next_run(night: Night) -> None:
    cluster = night.cluster
    with cluster.locked(LANDING):
        run = cluster.launch("tdx_daily")
        worker = cluster.wait_for_worker(run)
        cluster.wait_for_waiters()
        os.kill(worker, signal.SIGKILL)
        assert cluster.wait_for_end(run) == "FAILURE"
        again = cluster.wait_for_retry(run)
        wait_until("the lock is met", lambda: UP_FOR_RETRY in cluster.messages(again))
    assert cluster.wait_for_end(again) == "SUCCESS", cluster.messages(again)
    night.assert_undisturbed()


def test_a_run_goes_on_without_the_daemon_which_starts_what_is_queued(night: Night) -> None:
    cluster = night.cluster
    with cluster.locked(LANDING):
        first = cluster.launch("tdx_daily")
        cluster.wait_for_waiters()
        cluster.kill("dagster-daemon")
        second = cluster.launch("tdx_daily")
    assert cluster.wait_for_end(first) == "SUCCESS", cluster.messages(first)
    assert cluster.status(second) == "QUEUED"
    night.assert_undisturbed()
    cluster.start_daemon()
    assert cluster.wait_for_end(second) == "SUCCESS", cluster.messages(second)
    night.assert_undisturbed()


def test_a_run_that_is_cancelled_in_its_build_ends_its_queries(night: Night) -> None:
    cluster = night.cluster
    with cluster.locked(BUILDING):
        run = cluster.launch("tdx_daily")
        cluster.wait_for_waiters()
        assert cluster.instance.run_coordinator.cancel_run(run)
        assert cluster.wait_for_end(run) == "CANCELED", cluster.messages(run)
        wait_until("no query waits", lambda: not cluster.count_waiters())
    assert night.list_builds()[-1] == "cancelled"
    again = cluster.launch("tdx_daily")
    assert cluster.wait_for_end(again) == "SUCCESS", cluster.messages(again)
    night.assert_undisturbed()


def test_a_build_whose_machine_died_is_built_by_the_run_after_it(night: Night) -> None:
    cluster = night.cluster
    with cluster.locked(BUILDING):
        run = cluster.launch("tdx_daily")
        worker = cluster.wait_for_worker(run)
        cluster.wait_for_waiters()
        cluster.kill("dagster")
        os.kill(worker, signal.SIGKILL)
        cluster.start_code_server()
        assert cluster.wait_for_end(run) == "FAILURE", cluster.messages(run)
    again = cluster.wait_for_retry(run)
    assert cluster.wait_for_end(again) == "SUCCESS", cluster.messages(again)
    assert night.list_builds()[-2:] == ["interrupted", "succeeded"]
    night.assert_undisturbed()
