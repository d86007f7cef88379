"""The close and the open interest by the simulated gateway."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from loaders.engine.result import LoadResult
from tests.integration.ib.bench import Bench, bench

ATTEMPTS = (
    "select pass, status, eligible, filled, stale, failed, expired from raw_ib.enrichment "
    "where symbol = 'MSFT' order by attempted_at"
)
PROVISIONAL = "select count(*)::int from raw_ib.open_interest where not is_final"
BY_DAY = "select oi_asof_date::text, count(*)::int from raw_ib.open_interest group by 1 order by 1"


@pytest.fixture
def traded(filled_database: Callable[..., str], tmp_path: Path) -> Iterator[Bench]:
    """Open interest of the 19th, and a session on the 20th in which each contract was traded."""

    def fill(dsn: str) -> None:
        with bench(dsn, tmp_path / "traded") as first:
            assert first.load("discover").exit_code == 0
            first.at("2026-11-20T07:30:00").load("enrich", symbols=["AAPL"])
            first.at("2026-11-20T15:30:05").load("snapshot", symbols=["AAPL"])
            first.execute("update raw_ib.chain_snapshot set volume = 1")
            assert first.rows(BY_DAY) == [("2026-11-19", 28)]

    dsn = filled_database("options that were traded", fill)
    with bench(dsn, tmp_path / "home") as prepared:
        yield prepared


@pytest.mark.long
def test_the_close_takes_frozen_data_and_completes_what_it_lacks(made: Bench) -> None:
    rule = made.sandbox.faults.add("mute:symbol=MSFT")
    first = made.at("2026-11-19T17:00:00").load("close")
    assert first.exit_code == 6
    made.sandbox.faults.remove(rule)
    made.sandbox.log.clear()
    [again] = made.at("2026-11-19T17:30:00").due()
    assert again.exit_code == 0
    requested = {int(entry.fields[3]) for entry in made.sandbox.asked("reqMktData")}
    msft = made.rows("select conid from raw_ib.contract where symbol = 'MSFT'")
    stocks = made.rows("select conid from raw_ib.underlying where symbol = 'MSFT'")
    assert requested == {conid for (conid,) in [*msft, *stocks]}
    tallies = "select symbol, planned, captured, status from raw_ib.slot_run order by 1"
    assert made.rows(tallies) == [("AAPL", 28, 28, "complete"), ("MSFT", 16, 16, "complete")]
    kinds = (
        "select symbol, market_data_type, slot_30m, count(*)::int, bool_or(snapshot_error) "
        "from raw_ib.chain_close group by 1, 2, 3 order by 1"
    )
    assert made.rows(kinds) == [("AAPL", 2, None, 28, False), ("MSFT", 2, None, 16, False)]
    assert made.rows("select distinct sample_time from raw_ib.chain_close") == (
        made.rows("select close_at from raw_ib.session where trade_date = '2026-11-19'")
    )
    assert made.at("2026-11-19T17:40:00").due() == []  # all is there


def test_with_delayed_data_the_close_is_delayed_too(made: Bench) -> None:
    made.sandbox.faults.add("permission:code=354")
    delayed = made.at("2026-11-19T17:00:00").with_settings(market_data_type=3)
    assert delayed.load("close", symbols=["MSFT"]).exit_code == 0
    kinds = "select distinct requested_data_type, market_data_type from raw_ib.chain_close"
    assert made.rows(kinds) == [(4, 4)]


def test_the_time_gives_the_day_of_open_interest(made: Bench) -> None:
    [first] = made.at("2026-11-20T04:00:00").due()
    assert first.exit_code == 0
    assert made.rows(BY_DAY) == [("2026-11-18", 44)]
    assert made.rows(ATTEMPTS) == [("first", "stale", 16, 16, 16, 0, 0)]
    assert made.at("2026-11-20T05:00:00").due() == []
    [confirmed] = made.at("2026-11-20T07:30:00").due()
    assert confirmed.exit_code == 0
    assert made.rows(BY_DAY) == [("2026-11-18", 44), ("2026-11-19", 44)]
    assert made.rows(ATTEMPTS)[1] == ("confirm", "complete", 16, 16, 0, 0, 0)
    before = made.table("open_interest")
    again = made.load("enrich", date="2026-11-19")
    assert again.exit_code == 0
    assert made.table("open_interest") == before
    own = "select bool_and(trade_date = '2026-11-19') from raw_ib.open_interest"
    assert made.rows(own) == [(True,)]


def test_an_expired_contract_has_no_open_interest_to_request(made: Bench) -> None:
    made.at("2026-11-20T09:25:00").load("discover")
    made.sandbox.log.clear()
    made.at("2026-11-23T07:30:00").load("enrich")
    [(which, status, eligible, filled, _, failed, expired)] = made.rows(ATTEMPTS)
    assert (which, status, failed) == ("confirm", "complete", 0)
    assert expired > 0
    assert eligible == filled


def test_three_failed_mornings_raise_an_alarm(made: Bench) -> None:
    made.sandbox.faults.add("no-oi:symbol=MSFT")
    quick = made.with_settings(quote_timeout=0.3)
    failures = []
    for day in ("2026-11-20", "2026-11-23", "2026-11-24"):
        made.at(f"{day}T07:30:00")
        result = quick.load("enrich", symbols=["MSFT"], date="2026-11-19")
        assert result.exit_code in (4, 6)
        failures.append(result.tasks[0].failures["MSFT 2026-11-19"])
    assert ["oi_enrichment_failed" in text for text in failures] == [False, False, True]


def test_stale_open_interest_is_never_confirmed(made: Bench) -> None:
    assert made.at("2026-11-20T07:30:00").load("enrich", symbols=["MSFT"]).exit_code == 0
    rule = made.sandbox.faults.add("frozen-oi:since=2026-11-20")
    failures, before = [], made.table("open_interest")
    for moment in ("2026-11-23T07:30:00", "2026-11-24T04:00:00", "2026-11-24T07:30:00"):
        result = made.at(moment).load("enrich", symbols=["MSFT"])
        failures.append(" ".join(result.tasks[0].failures.values()))
        assert result.exit_code == (4 if "07:30" in moment else 0)  # of one symbol
    assert ["2026-11-19, " in text for text in failures] == [True, False, True]
    assert made.table("open_interest") == before
    kinds = (
        "select status, filled, same > 0, stale > 0 from raw_ib.enrichment order by attempted_at"
    )
    assert made.rows(kinds)[1:] == [("stale", 0, True, True)] * 3
    made.sandbox.faults.remove(rule)
    assert made.load("enrich", symbols=["MSFT"]).exit_code == 0
    [(newest, _), *_] = sorted(made.rows(BY_DAY), reverse=True)
    assert newest == "2026-11-23"


def test_open_interest_of_two_sessions_waits_until_two_readings_agree(traded: Bench) -> None:
    traded.sandbox.faults.add("frozen-oi:since=2026-11-20:share=0.6")
    states = "select status, stale, filled from raw_ib.enrichment order by attempted_at"
    old = (
        "select count(*)::int from raw_ib.open_interest as a inner join raw_ib.open_interest as b "
        "using (conid, open_interest) "
        "where a.oi_asof_date = '2026-11-19' and b.oi_asof_date = '2026-11-20' and b.is_final"
    )
    assert traded.at("2026-11-23T06:35:00").load("enrich", symbols=["AAPL"]).exit_code == 0
    [_, (status, doubtful, filled)] = traded.rows(states)
    assert (status, doubtful > filled > 0, traded.rows(old)) == ("provisional", True, [(0,)])
    # one reading is all there may be: its doubtful values are stored as such
    assert traded.rows(PROVISIONAL) == [(doubtful,)]
    traded.sandbox.faults.clear()
    assert traded.at("2026-11-23T07:30:00").load("enrich", symbols=["AAPL"]).exit_code == 0
    assert traded.rows(PROVISIONAL) == [(0,)]
    assert traded.rows(states)[2:] == [("complete", 0, doubtful)]


def test_values_that_two_readings_show_count_although_they_are_unchanged(traded: Bench) -> None:
    traded.sandbox.faults.add("frozen-oi:since=2026-11-20:share=0.5")
    seen = []
    first = traded.at("2026-11-23T06:34:00").load("enrich", symbols=["AAPL"], date="2026-11-20")
    [warning] = first.warnings
    assert re.match("AAPL 2026-11-20: .* two ", warning)
    for moment in ("06:35", "06:50", "07:05"):
        traded.at(f"2026-11-23T{moment}:00").load("enrich", symbols=["AAPL"])
        seen.append(
            traded.rows("select status from raw_ib.enrichment order by attempted_at desc")[0]
        )
    assert seen == [("provisional",), ("provisional",), ("complete",)]
    count = "select count(*)::int from raw_ib.open_interest where oi_asof_date = '2026-11-20'"
    [(eligible,)] = traded.rows(
        "select max(eligible) from raw_ib.enrichment where pass <> 'confirm'"
    )
    assert traded.rows(count) == [(eligible,)]


def test_two_readings_a_minute_apart_are_one(traded: Bench) -> None:
    seen = []
    for share, moment in ((0.7, "06:34"), (0.5, "07:05"), (0.5, "07:06"), (0.5, "07:35")):
        traded.sandbox.faults.clear()
        traded.sandbox.faults.add(f"frozen-oi:since=2026-11-20:share={share}")
        traded.at(f"2026-11-23T{moment}:00").load("enrich", symbols=["AAPL"])
        seen.append(
            traded.rows("select status from raw_ib.enrichment order by attempted_at desc")[0]
        )
    assert seen == [("provisional",)] * 3 + [("complete",)]


def test_what_one_reading_brought_is_final_once_the_session_is_over(traded: Bench) -> None:
    """Who asks once a morning: the next one ends the doubt about the session before."""
    traded.sandbox.faults.add("frozen-oi:since=2026-11-20:share=0.6")
    traded.at("2026-11-23T07:30:00").load("enrich", symbols=["AAPL"])
    before = traded.table("open_interest")
    traded.sandbox.faults.clear()
    traded.sandbox.faults.add("no-oi")
    quick = traded.with_settings(quote_timeout=0.3)
    silent = quick.at("2026-11-23T15:59:00").load("enrich", symbols=["AAPL"], date="2026-11-20")
    assert (silent.exit_code, traded.rows(PROVISIONAL) != [(0,)]) == (4, True)
    quick.at("2026-11-24T07:30:00").load("enrich", symbols=["AAPL"])
    assert traded.rows(PROVISIONAL) == [(0,)]
    assert traded.table("open_interest") == before


def test_a_session_that_is_over_leaves_no_doubt_before_the_next_publication(traded: Bench) -> None:
    for moment, share in (("2026-11-23T15:59:00", 0.6), ("2026-11-24T04:00:00", 0.5)):
        traded.sandbox.faults.clear()
        traded.sandbox.faults.add(f"frozen-oi:since=2026-11-20:share={share}")
        traded.at(moment).load("enrich", symbols=["AAPL"], date="2026-11-20")
    states = "select status from raw_ib.enrichment order by attempted_at"
    assert traded.rows(states)[1:] == [("provisional",), ("complete",)]
    assert traded.rows(PROVISIONAL) == [(0,)]


def test_what_is_final_is_not_doubted_again(traded: Bench) -> None:
    traded.at("2026-11-23T06:35:00").load("enrich", symbols=["AAPL"])
    before = traded.table("open_interest")
    traded.sandbox.faults.add("frozen-oi:since=2026-11-20:share=0.6")
    traded.at("2026-11-23T06:40:00").load("enrich", symbols=["AAPL"], date="2026-11-20")
    states = "select status, stale, failed from raw_ib.enrichment order by attempted_at"
    assert traded.rows(states)[1:] == [("complete", 0, 0)] * 2
    assert traded.table("open_interest") == before


def test_a_request_for_an_older_day_lands_no_doubtful_value_as_final(traded: Bench) -> None:
    traded.sandbox.faults.add("frozen-oi:since=2026-11-20:share=0.6")
    traded.at("2026-11-23T06:35:00").load("enrich", symbols=["AAPL"], date="2026-11-19")
    old = (
        "select count(*)::int from raw_ib.open_interest as a inner join raw_ib.open_interest as b "
        "using (conid, open_interest) "
        "where a.oi_asof_date = '2026-11-19' and b.oi_asof_date = '2026-11-20'"
    )
    assert traded.rows(old) == [(0,)]


@pytest.mark.long
def test_open_interest_of_a_hardly_traded_chain_may_be_unchanged(made: Bench) -> None:
    def morning(day: str) -> int:
        return made.at(f"{day}T07:30:00").load("enrich", symbols=["AAPL"]).exit_code

    assert morning("2026-11-20") == 0
    assert made.at("2026-11-20T15:30:05").load("snapshot", symbols=["AAPL"]).exit_code == 0
    made.sandbox.faults.add("frozen-oi:since=2026-11-20")
    codes = []
    for traded in (10, 4):
        made.execute("update raw_ib.chain_snapshot set volume = 0")
        made.execute(
            "update raw_ib.chain_snapshot set volume = 1 where conid in (select conid "
            f"from raw_ib.contract where symbol = 'AAPL' and expiry > '2026-11-20' limit {traded})"
        )
        codes.append(morning("2026-11-23"))
    assert codes == [4, 0]
    kinds = "select status, same > 0 from raw_ib.enrichment order by attempted_at, status desc"
    assert made.rows(kinds) == [("complete", False), ("complete", False)]


@pytest.mark.long
def test_a_missed_morning_is_made_up_on_its_day_only(made: Bench) -> None:
    late = [part for part in made.at("2026-11-20T11:10:00").due() if "enrich" in _tasks(part)]
    assert [part.exit_code for part in late] == [0]
    assert made.rows(BY_DAY) == [("2026-11-19", 44)]
    assert made.rows(ATTEMPTS) == [("late", "complete", 16, 16, 0, 0, 0)]
    assert not [part for part in made.at("2026-11-20T12:10:00").due() if "enrich" in _tasks(part)]
    # what the gateway shows on a later day is of the session before that day
    made.execute("delete from raw_ib.open_interest")
    result = made.at("2026-11-24T12:10:00").load("enrich", symbols=["MSFT"], date="2026-11-19")
    assert result.exit_code in (4, 6)
    assert "2026-11-23" in result.tasks[0].failures["MSFT 2026-11-19"]
    assert [day for day, _ in made.rows(BY_DAY)] == ["2026-11-23"]


@pytest.mark.long
def test_missing_open_interest_is_requested_again_in_half_an_hour(made: Bench) -> None:
    rule = made.sandbox.faults.add("no-oi:symbol=MSFT")
    made = made.with_settings(quote_timeout=1.0)
    assert [x.exit_code for x in made.at("2026-11-20T07:30:00").due()] == [6]
    assert made.at("2026-11-20T07:59:00").due() == []
    made.sandbox.faults.remove(rule)
    [again] = made.at("2026-11-20T08:00:00").due()
    assert (again.exit_code, again.tasks[0].keys) == (0, ("MSFT 2026-11-19",))
    assert [status for _, status, *_ in made.rows(ATTEMPTS)] == ["failed", "complete"]
    assert made.at("2026-11-20T08:30:00").due() == []


def _tasks(part: LoadResult) -> set[str]:
    return {"enrich" for task in part.tasks if task.dataset == "open_interest"}
