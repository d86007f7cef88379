"""A column that nothing fills is null: no number stands for what a source does not know."""

from collections.abc import Callable
from pathlib import Path

import pytest

from loaders.sandbox.world.market import SyntheticMarket
from loaders.tdx.source import SOURCE
from orchestration.run.dbt_commands import run_dbt
from tests.conftest import DBT_DATABASE, shared_folder
from tests.constant_columns import check_constant_columns
from tests.e2e.conftest import Build
from tests.integration.tdx_load.bench import bench

OF_CLIENTS = ("capital_events", "sectors", "minute_5m")
COUNTS = """
    select up_count, down_count from market.{} where code = %s and {} = %s
"""


@pytest.mark.usefixtures("models_alone")
def test_no_number_stands_for_what_the_service_lacks(
    new_database: Callable[..., str], tmp_path: Path
) -> None:
    datasets = tuple(each.name for each in SOURCE.datasets if each.name not in OF_CLIENTS)
    served = SyntheticMarket(codes=12, days=40, seed=5)
    with bench(served, new_database(DBT_DATABASE), tmp_path) as made:
        assert made.load(datasets=datasets).exit_code == 0
        assert run_dbt(made.settings, ["build"]) == 0
        with made.connect() as conn:
            check_constant_columns(conn, "tdx sandbox")


def test_indices_have_the_advances_and_declines_of_their_files(build: Build) -> None:
    market = build(shared_folder("cases") / "tdx/29-index-advances")
    for code, day, counts in (
        ("sh000001", "2021-05-14", (1413, 428)),
        ("sh000001", "2021-05-13", (606, 1257)),
        ("sh000001", "2021-05-07", (None, None)),
        ("sh881478", "2022-11-10", (7, 7)),
    ):
        query = COUNTS.format("index_kline_daily", "trade_date")
        assert market.execute(query.encode(), (code, day)).fetchone() == counts, day
    week = COUNTS.format("index_kline_weekly", "trade_date")
    assert market.execute(week.encode(), ("sh000001", "2021-05-14")).fetchone() == (1413, 428)
