"""Option chains by the commands: the smoke configuration over a day, and bad input."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from loaders.sandbox.ib.service import IbSandbox
from loaders.sandbox.ib.world import World
from tests.conftest import DBT_DATABASE
from tests.constant_columns import check_constant_columns
from tests.e2e.commands import ROOT, Place
from tests.requirements import require_ib

SMOKE = ROOT / "docs" / "how-to" / "ib-smoke.toml"


@pytest.fixture(scope="module")
def gateway() -> Iterator[IbSandbox]:
    require_ib()
    with IbSandbox(World(["AAPL"]), clock="2026-11-19T09:25:00") as sandbox:
        yield sandbox


@pytest.fixture
def place(gateway: IbSandbox, new_database: Callable[[], str], tmp_path: Path) -> Place:
    """The configuration as it is shipped, beside a gateway that takes its time from nobody."""
    given = {f"QUOTEMILL_IB__{k.upper()}": str(v) for k, v in gateway.settings().items()}
    given |= {"QUOTEMILL_CONFIG": str(SMOKE), "QUOTEMILL_WAREHOUSE_URL": new_database()}
    given |= {"QUOTEMILL_IB__SETTLE": "0.05", "QUOTEMILL_IB__CONNECT_TIMEOUT": "2"}
    return Place(tmp_path, tmp_path / "home", given)


@pytest.mark.soak
def test_the_smoke_configuration_captures_two_strikes_in_two_slots(
    place: Place, gateway: IbSandbox, new_database: Callable[[str], str], quick_builds: None
) -> None:
    """From the gateway to the verdict of the day, and what may be opened on it."""
    own = {"QUOTEMILL_WAREHOUSE_URL": new_database(DBT_DATABASE)}
    place = replace(place, settings={**place.settings, **own})
    clock_and_word = (
        ("2026-11-19T09:25:00", "session_contract"),
        ("2026-11-19T09:30:05", "chain_snapshot"),
        ("2026-11-19T10:00:05", "chain_snapshot"),
        ("2026-11-19T10:30:05", "no slot"),
        ("2026-11-19T17:00:00", "chain_close"),
    )
    for clock, word in clock_and_word:
        gateway.set_clock(clock)
        done = place.inside("loaders", "run", "ib")
        assert (done.returncode, word in done.stderr) == (0, True), (clock, done.stderr)
    # with the last of the day, all is built
    gateway.set_clock("2026-11-20T07:30:00")
    done = place.inside("quotemill", "run", "ib")
    assert (done.returncode, "open_interest" in done.stderr) == (0, True), done.stderr
    with psycopg.connect(place.settings["QUOTEMILL_WAREHOUSE_URL"]) as conn:
        slots = conn.execute(
            "select s.slot_label, count(distinct c.strike)::int, "
            "count(distinct c.trading_class)::int, "
            "bool_or(s.snapshot_error) from raw_ib.chain_snapshot as s join raw_ib.contract as c "
            "using (conid) group by 1 order by 1"
        ).fetchall()
        assert [(label, error) for label, _, _, error in slots] == [
            ("09:30", False),
            ("10:00", False),
        ]
        assert all(2 <= strikes <= 2 * classes * 2 for _, strikes, classes, _ in slots)
        interest = conn.execute("select distinct oi_asof_date::text from raw_ib.open_interest")
        assert interest.fetchall() == [("2026-11-19",)]
        contracts = conn.execute("select distinct conid from raw_ib.session_contract").fetchall()
        check_constant_columns(conn, "ib sandbox")
    # as late as the gateway's clock was, whatever this machine's says
    checked = place.inside("quotemill", "selfcheck", "ib")
    result = json.loads(checked.stdout)
    assert (checked.returncode, result["status"], result["trade_date"]) == (0, "PASS", "2026-11-19")
    figures = {check["name"]: check["figures"] for check in result["checks"]}
    assert (figures["coverage"]["slot_count"], figures["coverage"]["slot_coverage"]) == (
        2,
        "1.0000",
    )
    assert figures["rows"]["daily_count"] == figures["fallback"]["close_count"] == len(contracts)
    assert (figures["oi"]["oi_count"], figures["oi"]["oi_share"]) == (len(contracts), "1.0000")
    # nobody captured the day after
    checked = place.inside(
        "quotemill", "selfcheck", "ib", "--date=2026-11-20", "--as-of=2026-11-21T15:00"
    )
    assert (checked.returncode, json.loads(checked.stdout)["status"]) == (5, "FAIL")
    assert (
        "2026-11-20: AAPL coverage, AAPL delayed, AAPL fallback, AAPL lag, AAPL oi"
        in checked.stderr
    )
    listed = place.inside("quotemill", "gate", "list", "--json")
    assert listed.returncode == 0
    states = {row["stage"]: row["state"] for row in json.loads(listed.stdout)}
    assert states == {0: "open", 1: "closed", 2: "closed", 3: "closed"}
    opened = place.inside("quotemill", "gate", "open", "1", "--by", "data owner")
    assert (opened.returncode, ": 0 of 2" in opened.stderr) == (5, True)
    opened = place.inside("quotemill", "gate", "open", "1", "--by", "data owner", "--force")
    assert (opened.returncode, ": AAPL and MSFT" in opened.stderr) == (0, True)
    assert (
        "stage 1  open: AAPL and MSFT by data owner"
        in place.inside("quotemill", "gate", "list").stdout
    )
    planned = place.inside("loaders", "run", "ib", "--dry-run", "--json")
    plan = json.loads(planned.stdout)
    assert (planned.returncode, plan["source"], plan["fits"]) == (0, "ib", True)
    assert [of["set_date"] for of in plan["symbols"]] == ["2026-11-19"]
    assert "a slot: " in place.inside("loaders", "run", "ib", "--dry-run").stdout
    scanned = place.inside("quotemill", "logscan", "ib", "--json")
    result = json.loads(scanned.stdout)
    assert (scanned.returncode, result["status"]) == (0, "clean"), result
    assert result["levels"]["ib"]["info"] >= 11  # begin and end of five tasks, and what was not due


def test_a_check_shows_what_the_account_may_read(place: Place, gateway: IbSandbox) -> None:
    gateway.set_clock("2026-11-19T10:00:00")
    done = place.inside("loaders", "check", "ib")
    assert done.returncode == 0, done.stderr
    account = "provides live data for AAPL and live data for its options to client 101"
    assert (account in done.stdout, "warn" in done.stdout) == (True, False)
    # the stock is permitted, its options are not
    seen = json.loads(place.inside("loaders", "check", "ib", "--json").stdout)
    rule = gateway.faults.add(f"error:code=354:conid={seen['option_conid']}")
    done = place.inside("loaders", "check", "ib")
    gateway.faults.remove(rule)
    assert done.returncode == 0
    assert "provides live data for AAPL and no data for its options" in done.stdout
    assert "warn  service  no data for AAPL  26" in done.stdout
    assert "Requested market data is not subscribed" in done.stdout
    assert "warn  service  options need their own market data subscription" in done.stdout
    rule = gateway.faults.add("permission:code=354")
    done = place.inside("loaders", "check", "ib")
    gateway.faults.remove(rule)
    assert done.returncode == 0
    assert "warn  service  no data for AAPL arrived" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("--task", "discovery"), 2, "unknown task: --task discovery"),
        (("--slot", "10:10"), 2, "not a slot of 2026-11-19"),
        (("--symbols", "AAPL", "--codes", "AAPL"), 2, "--symbols and --codes"),
        (("--task", "close"), 0, "the close snapshot is at 17:00"),
        (("--retry-missed",), 0, "discovery comes first: no contracts of"),
    ],
)
def test_bad_input_has_a_message_and_its_exit_code(
    arguments: tuple[str, ...], code: int, says: str, place: Place, gateway: IbSandbox
) -> None:
    gateway.set_clock("2026-11-19T10:01:00")
    done = place.inside("loaders", "run", "ib", *arguments)
    assert (done.returncode, says in done.stderr) == (code, True), done.stderr


def test_a_source_without_a_dry_run_says_so(place: Place) -> None:
    done = place.inside("loaders", "run", "tdx", "--dry-run")
    assert done.returncode == 2, done.stderr
    assert re.search("--dry-run .* tdx", done.stderr)
