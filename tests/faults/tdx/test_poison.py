"""Values that no table can hold or no model cast: they cost their row and nothing else."""

from pathlib import Path

from tests.integration.tdx_load.bench import Bench, days_until

REFUSED = "select dataset, row_key, field, value from raw_tdx.rejected_row order by 1, 2, 3"
NAMED = ("codes", "trading_calendar", "kline_daily", "index_kline", "quote_snapshot")


def test_a_number_beyond_a_column_costs_its_row(market_bench: Bench) -> None:
    market_bench.sandbox.faults.add("value:index/all:field=UpCount:value=3000000000:row=-3")
    market_bench.sandbox.faults.add("value:kline-all:code=sh600000:row=-3")
    market_bench.sandbox.faults.add("value:batch-quote:field=ServerTime:value=12\0:row=0")

    result = market_bench.load(datasets=NAMED)

    assert result.exit_code == 0, result
    days = days_until(market_bench.sandbox.world)
    day = days[-3]
    refused = market_bench.rows(REFUSED)
    assert ("kline_daily", f"sh600000 {day}", "volume", "100000000000000000") in refused
    assert ("sh000001 day", "up_count") in {
        (" ".join(key.split()[:2]), field)
        for dataset, key, field, _ in refused
        if dataset == "index_kline"
    }
    assert {field for dataset, _, field, _ in refused if dataset == "quote_snapshot"} == {
        "server_time"
    }
    counted = market_bench.rows("select count(*) from raw_tdx.kline_daily where code = 'sh600000'")
    assert counted == [(len(days) - 1,)]
    # the row is missing, and the cursor has gone on
    assert market_bench.load(datasets=NAMED).exit_code == 0


def test_what_cannot_be_stored_is_withdrawn_once_it_came_well(market_bench: Bench) -> None:
    faults, day = market_bench.sandbox.faults, days_until(market_bench.sandbox.world)[-2]
    actions = market_bench.settings.tdx.corporate_actions
    assert isinstance(actions, Path)
    good = actions.read_text("utf-8")
    header, first, *_ = good.splitlines()
    columns = first.split(",")
    columns[header.split(",").index("cash_per10_yuan")] = "2000000"
    actions.write_text(good.replace(first, ",".join(columns), 1), "utf-8")
    datasets = ("kline_daily", "index_kline", "corporate_actions")
    rules = [
        faults.add("value:kline-all:code=sh600000:row=-2"),
        faults.add("value:index/all:field=UpCount:value=3000000000:row=-2"),
    ]

    def refused() -> dict[str, str]:
        rows = market_bench.rows(
            "select dataset, row_key from raw_tdx.rejected_row where not is_withdrawn order by 1, 2"
        )
        return dict(rows)

    market_bench.load(datasets=datasets)
    assert set(refused()) == {*datasets}
    market_bench.load(datasets=datasets)  # reads these days of bars no more, and the file again
    assert set(refused()) == {*datasets}
    for rule in rules:
        faults.remove(rule)
    actions.write_text(good.replace(first + "\n", "", 1), "utf-8")

    market_bench.load(datasets=datasets, since=day)

    assert refused() == {}


def test_what_is_due_today_and_cannot_be_stored_fails_until_it_can(market_bench: Bench) -> None:
    rule = market_bench.sandbox.faults.add("value:kline-all:code=sh600000")

    assert market_bench.load().exit_code == 6

    market_bench.sandbox.faults.remove(rule)
    assert market_bench.load(retry=True).exit_code == 0
    newest = market_bench.rows(
        "select max(trade_date) from raw_tdx.kline_daily where code = 'sh600000'"
    )
    assert newest == [(market_bench.sandbox.clock.date(),)]


def test_an_index_whose_newest_row_is_refused_is_asked_again(market_bench: Bench) -> None:
    rule = market_bench.sandbox.faults.add("value:index/all:field=UpCount:value=3000000000")
    market_bench.load()
    market_bench.sandbox.faults.remove(rule)

    market_bench.load()

    rows = market_bench.rows(
        "select period, max(trade_date) from raw_tdx.index_kline group by 1 order by 1"
    )
    today = market_bench.sandbox.clock.date()
    assert rows == [("day", today), ("minute1", today), ("month", today), ("week", today)]
