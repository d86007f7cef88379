"""Corporate actions of the quote servers in a load: package by package, and stopped on word."""

from datetime import date

import pytest

from loaders.engine.load import Load
from loaders.sandbox.tdx.quote_server import Temper, serve_quotes
from loaders.sandbox.world.market import SyntheticMarket
from loaders.tdx.servers import pool
from tests.integration.tdx_client.test_xdxr_protocol import ONE_ROW, packed
from tests.integration.tdx_load.conftest import OpenBench


def test_a_load_lands_what_comes_slice_by_slice_and_names_what_does_not(
    open_bench: OpenBench, small_market: SyntheticMarket, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        serve_quotes({(1, b"600000"): ONE_ROW, (0, b"000001"): None}) as server,
        open_bench(small_market, corporate_actions="xdxr", slice_size=2) as bench,
    ):
        monkeypatch.setattr(pool, "PUBLIC", [server.address])
        result = bench.load(datasets=("corporate_actions",))

        assert result.exit_code == 6
        assert {key for task in result.tasks for key in task.failures} == {"sz000001"}
        assert bench.rows("select code, source from raw_tdx.corporate_action") == [
            ("sh600000", "xdxr")
        ]

        tdx = bench.settings.tdx.model_copy(update={"corporate_actions": None})
        bench.settings = bench.settings.model_copy(update={"tdx": tdx})
        again = bench.load(retry=True)  # asks nobody
        failures = {key: why for task in again.tasks for key, why in task.failures.items()}
        assert failures.keys() == {"sz000001"}
        assert "gbbq" not in failures["sz000001"]
        assert bench.load(datasets=("corporate_actions",)).exit_code == 0


def test_servers_that_refuse_end_the_load_unavailable_with_every_cursor_in_place(
    open_bench: OpenBench,
    small_market: SyntheticMarket,
    days: list[date],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    landed = "select code, is_withdrawn, fetched_at from raw_tdx.corporate_action"
    cursor = "select distinct cursor from ops.ingestion_state where dataset = 'corporate_actions'"
    with open_bench(small_market, clock=days[-6], corporate_actions="xdxr") as bench:
        seen = []
        for day, temper, exit_code in ((-6, Temper.PUNISHING, 0), (-5, Temper.BARLESS, 4)):
            bench.sandbox.set_clock(days[day], restart=True)
            with serve_quotes({(1, b"600000"): ONE_ROW}, temper) as server:
                monkeypatch.setattr(pool, "PUBLIC", [server.address])
                assert bench.load(datasets=("corporate_actions",)).exit_code == exit_code
            seen.append((bench.rows(landed), bench.rows(cursor)))
        assert [code for code, *_ in seen[0][0]] == ["sh600000"]
        assert seen[0][1] == [(days[-6].isoformat(),)]
        assert seen[1] == seen[0]
        with serve_quotes({(1, b"600000"): ONE_ROW}) as server:
            monkeypatch.setattr(pool, "PUBLIC", [server.address])
            assert bench.load(retry=True).exit_code == 0
        assert bench.rows(cursor) == [(days[-5].isoformat(),)]


def test_an_empty_answer_is_a_loss_of_stored_events_of_its_code_until_accepted(
    open_bench: OpenBench, small_market: SyntheticMarket, monkeypatch: pytest.MonkeyPatch
) -> None:
    events, bonus = ("corporate_actions",), packed((1, date(2011, 6, 3), 1, (0.0, 0.0, 3.0, 0.0)))
    standing = "select code from raw_tdx.corporate_action where not is_withdrawn order by 1"
    with open_bench(small_market, corporate_actions="xdxr") as bench:
        answers = {(1, b"600000"): ONE_ROW, (0, b"000001"): bonus}
        with serve_quotes(answers) as server:
            monkeypatch.setattr(pool, "PUBLIC", [server.address])
            assert bench.load(datasets=events).exit_code == 0
        with serve_quotes({(0, b"000001"): bonus}) as server:
            monkeypatch.setattr(pool, "PUBLIC", [server.address])
            for _ in range(2):
                refused = bench.load(datasets=events)
                assert {key for task in refused.tasks for key in task.failures} == {"sh600000"}
                assert bench.rows(standing) == [("sh600000",), ("sz000001",)]
            assert bench.load(datasets=events, accept_loss=True).exit_code == 0
            assert bench.rows(standing) == [("sz000001",)]
            assert bench.load(datasets=events).exit_code == 0


def test_answers_that_each_lack_an_event_are_refused_as_a_whole(
    open_bench: OpenBench, small_market: SyntheticMarket, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answers(*years: int) -> dict[tuple[int, bytes], bytes]:
        rows = ((1, date(year, 6, 3), 1, (0.0, 0.0, 3.0, 0.0)) for year in years)
        answer = packed(*rows)
        return {(1, b"600000"): answer, (0, b"000001"): answer}

    standing = "select count(*) from raw_tdx.corporate_action where not is_withdrawn"
    with open_bench(small_market, corporate_actions="xdxr") as bench:
        for years, failing in (
            ((2011, 2012, 2013), set[str]()),
            ((2011, 2012), {"sh600000", "sz000001"}),
            ((2011, 2012, 2013), set[str]()),
        ):
            with serve_quotes(answers(*years)) as server:
                monkeypatch.setattr(pool, "PUBLIC", [server.address])
                result = bench.load(datasets=("corporate_actions",))
                assert {key for task in result.tasks for key in task.failures} == failing
                assert bench.rows(standing) == [(6,)]


def test_a_cut_answer_holds_back_no_event_of_another_code(
    open_bench: OpenBench, small_market: SyntheticMarket, monkeypatch: pytest.MonkeyPatch
) -> None:
    def events_of(*years: int) -> bytes:
        return packed(*((1, date(year, 6, 3), 1, (0.0, 0.0, 3.0, 0.0)) for year in years))

    standing = (
        "select code, count(*) from raw_tdx.corporate_action where not is_withdrawn"
        " group by 1 order by 1"
    )
    with open_bench(small_market, corporate_actions="xdxr") as bench:
        for many, few, failing in ((20, 2, set[str]()), (3, 3, {"sh600000"})):
            answers = {
                (1, b"600000"): events_of(*range(2000, 2000 + many)),
                (0, b"000001"): events_of(*range(2000, 2000 + few)),
            }
            with serve_quotes(answers) as server:
                monkeypatch.setattr(pool, "PUBLIC", [server.address])
                result = bench.load(datasets=("corporate_actions",))
            assert {key for task in result.tasks for key in task.failures} == failing
            assert bench.rows(standing) == [("sh600000", 20), ("sz000001", few)]


def test_a_record_refused_under_another_field_before_is_refused_once(
    open_bench: OpenBench, small_market: SyntheticMarket, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = packed((1, date(2011, 6, 3), 1, (-1.6, 0.0, 3.0, 0.0)))
    with (
        serve_quotes({(1, b"600000"): answer}) as server,
        open_bench(small_market, corporate_actions="xdxr") as bench,
    ):
        monkeypatch.setattr(pool, "PUBLIC", [server.address])
        bench.load(datasets=("codes",))
        bench.execute(
            "insert into raw_tdx.rejected_row select 'corporate_actions', 'xdxr sh600000 row 0',"
            " 'fenhong', 'must be a number from 0 to 10^9', '-1.6', '{}', false, 'xdxr',"
            " '2020-01-01', true"
        )
        bench.load(datasets=("corporate_actions",))
        assert bench.rows(
            "select field, is_withdrawn, payload::jsonb ->> 'ex_date' from raw_tdx.rejected_row"
            " where row_key like 'xdxr %' order by 1"
        ) == [("cash_per10_yuan", False, "2011-06-03"), ("fenhong", True, None)]


def test_a_load_that_waits_for_a_mute_server_hears_a_request_to_stop(
    open_bench: OpenBench, small_market: SyntheticMarket, monkeypatch: pytest.MonkeyPatch
) -> None:
    load: list[Load] = []
    with (
        serve_quotes(temper=Temper.MUTE, heard=lambda: load[0].interrupt()) as server,
        open_bench(small_market, corporate_actions="xdxr", timeout=120.0) as bench,
    ):
        monkeypatch.setattr(pool, "PUBLIC", [server.address])
        result = bench.load(datasets=("corporate_actions",), on_start=load.append)
        assert result.status == "cancelled"
