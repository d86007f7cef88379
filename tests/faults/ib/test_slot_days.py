"""A day on which the gateway is slow, then mute, then restarts; and captures that end in midst."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from loaders.engine.load import Load
from loaders.ib.capture.rounds import Capturer
from loaders.ib.slots import NEW_YORK, Session, require_session, within
from tests.integration.ib.bench import Bench, bench

DEADLINE = timedelta(minutes=29)  # of the scheduled job
DAY = "2026-11-27"  # eight slots, until 13:00
SIZES: dict[str, Any] = {"max_concurrent_snapshots": 10, "quote_timeout": 0.3}
FEW: dict[str, Any] = SIZES | {
    "rate_limits": {"snapshot": {"per_minute": 30}},
    "max_concurrent_snapshots": 3,
    "slot_range": "10:00-12:00",
}
PER_SLOT = """
    select n.slot_label, count(*)::int as planned,
        count(*) filter (where not c.snapshot_error and c.capture_lag_s <= 900)::int as on_time,
        count(*) filter (where not c.snapshot_error and c.capture_lag_s > 900)::int as late,
        count(*) filter (where c.snapshot_error)::int as error,
        count(*) filter (where c.conid is null)::int as absent
    from (
        select d.trade_date, t as sample_time,
            to_char(t at time zone 'America/New_York', 'HH24:MI') as slot_label
        from raw_ib.session as d
        cross join lateral generate_series(d.open_at, d.close_at, interval '30 minutes') as t
        where d.trade_date = %s
    ) as n
    inner join raw_ib.session_contract as s using (trade_date)
    left join raw_ib.chain_snapshot as c using (trade_date, sample_time, conid)
    group by 1 order by 1
"""


def drive(made: Bench, session: Session, minutes: Sequence[int]) -> None:
    """The scheduled jobs of a session's slots: each slot, and what is due in between."""
    for slot in within(session.slots, made.settings.ib.slots):
        run(made, slot.at, lambda: made.load("snapshot"))
        for minute in minutes:
            at = slot.at + timedelta(minutes=minute)
            if at > session.close_at + timedelta(minutes=2):
                break
            if made.sandbox.clock < at:
                run(made, at, made.due)


def run(made: Bench, at: datetime, job: Callable[[], object]) -> None:
    """A job at its time. No load holds the lane by then, or reaches its deadline."""
    assert made.sandbox.clock <= at
    made.at(at.astimezone(NEW_YORK).isoformat())
    assert made.sandbox.wait_until_listening()
    job()
    assert made.sandbox.clock < at + DEADLINE


def per_slot(made: Bench) -> dict[str, tuple[int, ...]]:
    """Planned, on time, late, error, absent by slot."""
    first, last = (made.settings.ib.slot_range or "09:30-16:00").split("-")
    rows = [row for row in made.rows(PER_SLOT, DAY) if first <= str(row[0]) <= last]
    for row in rows:
        print(*row)  # the evidence of a run by hand
    return {str(label): figures for label, *figures in rows}  # type: ignore[misc]


HOSTILE = (
    "slow:seconds=168:from=1000:until=1100",
    "mute:from=1130:until=1140",
    "slow:seconds=24:from=1130:until=1140",
    "restart:from=1200:until=1230:seconds=0",
)


def check_day(slots: dict[str, tuple[int, ...]]) -> None:
    for planned, on_time, late, error, absent in slots.values():
        assert absent == 0
        assert planned == on_time + late + error
    for label in slots.keys() & {"09:30", "11:00", "12:30", "13:00"}:  # an undisturbed one is whole
        assert slots[label][1] == slots[label][0]
    for label in ("10:00", "10:30"):  # a slow one keeps what came, and says what did not
        assert min(slots[label][1:4]) > 0
    # what was mute or cut off is captured again within the slot
    assert slots["11:30"][3] == slots["12:00"][3] == 0


def test_a_hostile_day_leaves_no_contract_absent(
    new_database: Callable[[], str], tmp_path: Path
) -> None:
    with bench(new_database(), tmp_path / "home", clock=f"{DAY}T09:25:00", **FEW) as made:
        assert made.load("discover").exit_code == 0
        for fault in HOSTILE:
            made.sandbox.faults.add(fault)
        drive(made, require_session(datetime.fromisoformat(DAY).date()), (3, 13))
        check_day(per_slot(made))
        flagged = (
            "select bool_and(data_quality_flag ~ 'late_capture') from raw_ib.chain_snapshot "
            "where capture_lag_s > 900"
        )
        assert made.rows(flagged) == [(True,)]


class Killed(BaseException):
    """The end of a process."""


@pytest.fixture
def slow(discovered_dsn: str, tmp_path: Path) -> Iterator[Bench]:
    """Two groups: 28 contracts in three batches, 16 in two; each batch takes 12 seconds."""
    own = tmp_path / "universe.csv"
    own.write_text("symbol,weight,group,enabled\nAAPL,2,A,true\nMSFT,1,B,true\n")
    given: dict[str, Any] = {"clock": "2026-11-19T10:00:05", "faults": ["slow:seconds=12"]}
    # nothing is mute: a machine with other work does not cost a quote
    given |= SIZES | {"quote_timeout": 10.0, "stage": 3, "universe": own}
    with bench(discovered_dsn, tmp_path / "home", **given) as made:
        yield made


def counts(made: Bench) -> tuple[int, int]:
    """Rows, those with a quote."""
    query = (
        "select count(*)::int, count(*) filter (where not snapshot_error)::int "
        "from raw_ib.chain_snapshot"
    )
    return made.rows(query)[0]  # type: ignore[return-value]


def test_a_kill_in_any_batch_costs_that_batch_alone(
    slow: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = Capturer._request_batch
    for kill_at in range(2, 6):
        slow.execute("delete from raw_ib.chain_snapshot")
        left = [kill_at]

        def die(self: Capturer, *given: Any, left: list[int] = left) -> Any:
            left[0] -= 1
            if left[0] == 0:
                raise Killed
            return request(self, *given)

        slow.at("2026-11-19T10:00:05")
        slow.sandbox.log.clear()
        monkeypatch.setattr(Capturer, "_request_batch", die)
        with pytest.raises(Killed):
            slow.load("snapshot")
        monkeypatch.setattr(Capturer, "_request_batch", request)
        done = (10, 20, 28, 38)[kill_at - 2]
        assert counts(slow) == (done, done)
    # the remainder job goes on, and requests only what is left
    slow.sandbox.log.clear()
    slow.at("2026-11-19T10:08:00")
    assert next(iter(slow.due())).exit_code == 0
    assert counts(slow) == (44, 44)
    assert len(slow.sandbox.asked("reqMktData")) <= 6 + 2  # and the underlyings
    assert slow.due() == []


def stop_after(made: Bench, requests: int) -> Callable[[Load], None]:
    """Stop a load once the gateway had more than so many requests."""

    def prepare(load: Load) -> None:
        is_asked = load.watch.asked
        load.watch.asked = (  # type: ignore[method-assign]
            lambda: is_asked() or made.sandbox.requests > requests
        )

    return prepare


def answered(made: Bench) -> int:
    """Contracts that the gateway was asked for."""
    known = {f"{conid}" for (conid,) in made.rows("select conid from raw_ib.session_contract")}
    return len({entry.fields[3] for entry in made.sandbox.asked("reqMktData")} & known)


# within the first batch, the second, the last of a group and the first of the next
@pytest.mark.parametrize("after", [5, 20, 25, 36])
def test_a_stopped_slot_keeps_its_rows_and_lacks_the_rest(slow: Bench, after: int) -> None:
    stopped = slow.load("snapshot", on_start=stop_after(slow, after))
    assert stopped.status == "cancelled"
    rows, good = counts(slow)
    assert 0 < good == rows < 44
    assert good == answered(slow)
    # of each group that was begun
    tallies = "select symbol, planned, captured, errors, status from raw_ib.slot_run order by 1"
    first = min(good, 28)
    expected = [("AAPL", 28, first, 0, "complete" if first == 28 else "partial")]
    expected += [("MSFT", 16, good - 28, 0, "partial")] if good > 28 else []
    assert slow.rows(tallies) == expected
    slow.sandbox.log.clear()
    slow.at("2026-11-19T10:08:00")
    assert next(iter(slow.due())).exit_code == 0
    assert (counts(slow), answered(slow)) == ((44, 44), 44 - good)
    assert slow.due() == []


def test_a_stop_in_the_last_batch_keeps_the_quotes_of_each_symbol(made: Bench) -> None:
    """Two symbols together, whose batches end within one package of rows."""
    stopped = made.load("snapshot", on_start=stop_after(made, 45))
    assert stopped.status == "cancelled"
    assert counts(made) == (44, answered(made))
    assert made.rows("select symbol, captured, status from raw_ib.slot_run order by 1") == [
        ("AAPL", 28, "complete"),
        ("MSFT", 16, "complete"),
    ]
    made.sandbox.log.clear()
    assert next(iter(made.due())).exit_code == 0
    assert answered(made) == 0


def test_an_older_slot_is_completed_no_more(made: Bench) -> None:
    """A quote of 10:30 would be look-ahead in the slot of 10:00."""
    mute = made.sandbox.faults.add("mute:symbol=MSFT")
    quick = made.with_settings(quote_timeout=0.3)
    assert quick.load("snapshot", slot="now").exit_code == 6
    assert quick.at("2026-11-19T10:30:05").load("snapshot", slot="now").exit_code == 6
    made.sandbox.faults.remove(mute)
    quick.at("2026-11-19T10:38:00").due()
    errors = (
        "select slot_label, count(*)::int from raw_ib.chain_snapshot "
        "where snapshot_error group by 1"
    )
    assert made.rows(errors) == [("10:00", 16)]
