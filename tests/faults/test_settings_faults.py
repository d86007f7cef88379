"""Mistakes in settings and files are named with their place; good rows still land."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.faults.scene import Scene, assert_same

OpenScene = Callable[..., Scene]


def test_malformed_corporate_actions_are_named_and_good_ones_land(
    open_scene: OpenScene, actions_file: Path
) -> None:
    scene = open_scene()
    good = actions_file.read_text("utf-8").splitlines()
    day, cash = good[0].split(",").index("ex_date"), good[0].split(",").index("cash_per10_yuan")
    bad_day, bad_cash = (good[1].split(","), good[2].split(","))
    bad_day[day], bad_cash[cash] = "2024-13-01", "1,5"[:1] + "x"
    path = scene.home / "mine.csv"
    path.write_text(
        "\n".join([good[0], ",".join(bad_day), *good[1:], ",".join(bad_cash), "one cell"]) + "\n"
    )
    scene.env["QUOTEMILL_TDX__CORPORATE_ACTIONS"] = str(path)
    done = scene.run()

    assert done.code == 0, done.said
    last = len(good) + 2
    assert re.search(r"mine\.csv:2: ex_date: .*'2024-13-01'", done.said)
    assert f"mine.csv:{last}: cash_per10_yuan: " in done.said
    assert f"mine.csv:{last + 1}: row: " in done.said
    assert scene.rows("select count(*) from raw_tdx.corporate_action") == [(len(good) - 1,)]
    assert scene.rows(
        "select row_key, field from raw_tdx.rejected_row "
        "where dataset = 'corporate_actions' order by 1"
    ) == sorted(
        [
            ("mine.csv:2", "ex_date"),
            (f"mine.csv:{last}", "cash_per10_yuan"),
            (f"mine.csv:{last + 1}", "row"),
        ]
    )


def test_a_missing_file_of_corporate_actions_is_named_and_a_retry_loads_it(
    open_scene: OpenScene, undisturbed: dict[str, Any]
) -> None:
    scene = open_scene()
    given = scene.env["QUOTEMILL_TDX__CORPORATE_ACTIONS"]
    scene.env["QUOTEMILL_TDX__CORPORATE_ACTIONS"] = "/nowhere/actions.csv"
    missing = scene.run()

    assert missing.code == 3, missing.said
    assert re.search("tdx.corporate_actions: .*/nowhere/actions.csv .*exist", missing.said)
    assert scene.rows("select count(*) > 500 from raw_tdx.kline_daily") == [(True,)]
    assert scene.jobs() == ["partial"]

    scene.env["QUOTEMILL_TDX__CORPORATE_ACTIONS"] = given
    again = scene.loaders("retry", "--as-of", scene.as_of)
    assert again.code == 0, again.said
    assert_same(scene.facts(), undisturbed)
