"""The setting tdx.servers: what it means, and when a load by it is refused."""

from datetime import datetime
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from loaders.engine.request import LoadRequest
from loaders.settings import Settings, load_settings
from loaders.tdx import request
from loaders.tdx.servers.pool import PUBLIC, list_addresses
from loaders.trading_time import SHANGHAI
from quotemill.errors import SettingsError, UsageError

FRIDAY = datetime(2026, 11, 27, 10, 30, tzinfo=SHANGHAI)


def by(tmp_path: Path, servers: str = "public", **tdx: Any) -> Settings:
    return load_settings({"QUOTEMILL_TDX__SERVERS": servers}, cwd=tmp_path, home=tmp_path, tdx=tdx)


def test_servers_are_asked_politely_unless_settings_differ(tmp_path: Path) -> None:
    tdx = by(tmp_path, "127.0.0.1:7709, [::1]:7710").tdx
    assert list(list_addresses(tdx.servers)) == [("127.0.0.1", 7709), ("::1", 7710)]
    assert (tdx.concurrency, tdx.requests_per_second, tdx.actions_source) == (4, 15, "xdxr")
    tdx = by(tmp_path, concurrency=2, requests_per_second=99, corporate_actions="a.csv").tdx
    assert list(list_addresses(tdx.servers)) == PUBLIC
    assert (tdx.concurrency, tdx.requests_per_second) == (2, 99)
    assert tdx.actions_source == Path("a.csv")


@pytest.mark.parametrize("servers", ["host", "host:0", "host:65536", ":7709", "public,host:x"])
def test_an_address_without_a_host_or_a_port_is_refused(tmp_path: Path, servers: str) -> None:
    with pytest.raises(SettingsError, match=r"tdx\.servers"):
        by(tmp_path, servers)


def test_a_service_and_servers_exclude_each_other(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"tdx\.base_url and tdx\.servers"):
        by(tmp_path, base_url="http://127.0.0.1:8080")


@pytest.mark.parametrize("dataset", ["stock_info", "market_stats_snapshot", "kline_adjusted"])
def test_a_dataset_that_servers_lack_is_refused_by_name(tmp_path: Path, dataset: str) -> None:
    with pytest.raises(SettingsError, match=dataset):
        request.check_request(by(tmp_path), LoadRequest("tdx", datasets=(dataset,)))


WHOLE = LoadRequest("tdx", mode="init")


@pytest.mark.parametrize(
    ("asked", "now", "is_refused"),
    [
        (WHOLE, FRIDAY, True),
        (WHOLE, FRIDAY.replace(hour=9, minute=15), True),
        (WHOLE, FRIDAY.replace(hour=15, minute=4), True),
        (WHOLE, FRIDAY.replace(hour=15, minute=5), False),
        (WHOLE, FRIDAY.replace(hour=9, minute=14), False),
        (WHOLE, FRIDAY.replace(day=28), False),
        (LoadRequest("tdx", mode="init", options={"yes": "yes"}), FRIDAY, False),
        (LoadRequest("tdx", mode="init", keys=("sh600000",)), FRIDAY, False),
        (LoadRequest("tdx", mode="init", datasets=("trading_calendar",)), FRIDAY, False),
        (LoadRequest("tdx"), FRIDAY, False),
    ],
)
def test_whole_histories_of_all_codes_wait_for_the_close(
    tmp_path: Path, asked: LoadRequest, now: datetime, *, is_refused: bool
) -> None:
    if is_refused:
        with pytest.raises(UsageError) as refused:
            request.resolve(by(tmp_path), Mock(), asked, now)
        assert "--yes" in refused.value.hint
        return
    assert request.resolve(by(tmp_path), Mock(), asked, now) == asked


def test_a_first_run_waits_for_the_close_too(tmp_path: Path) -> None:
    empty = Mock(ask=Mock(return_value=False))
    with pytest.raises(UsageError, match="while the market is open"):
        request.resolve(by(tmp_path), empty, LoadRequest("tdx"), FRIDAY)
