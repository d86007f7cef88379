"""Day bars without any corporate action: said wherever one looks, until a fix of it is carried out.

The commands and the reader say in full that adjusted prices equal raw ones.
"""

import shutil
import warnings
from dataclasses import replace
from pathlib import Path

import pytest

import quotemill
from tests.e2e.commands import Place

CODE = "sh600104"
EVENTS = Path("T0002/hq_cache/gbbq")
WHY = "no corporate actions are loaded"
HEADER = "code,ex_date,cash_per10_yuan,bonus_total_per10,rights_per10,rights_price_yuan\n"


@pytest.fixture
def place(real_client: Path, quick_place: Place) -> Place:
    """A folder of one stock's bars alone, after `quotemill run`."""
    client = quick_place.folder / "client"
    for file in ("sh000001.day", f"{CODE}.day"):
        part = Path("vipdoc/sh/lday") / file
        (client / part).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(real_client / part, client / part)
    given = {**quick_place.settings, "QUOTEMILL_TDX__CLIENT": str(client)}
    place = replace(quick_place, settings=given)
    done = place.inside("quotemill", "run")
    assert done.returncode == 0, done.stderr
    [line] = [line for line in done.stderr.splitlines()[-6:] if WHY in line]
    for way in (str(EVENTS), "xdxr", "CSV"):
        assert way in line
    return place


def open_reader(place: Place) -> quotemill.Reader:
    return quotemill.open(place.settings["QUOTEMILL_WAREHOUSE_URL"])


def is_told(place: Place) -> bool:
    """Whether status tells of it; the reader must tell the same, once."""
    with open_reader(place) as market, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        market.klines(CODE)
        assert not caught
        for _ in range(2):
            market.klines(CODE, adjust="qfq")
    says = [str(warning.message) for warning in caught]
    text = place.inside("quotemill", "status").stdout
    assert len(says) == (WHY in text), says
    return WHY in text


@pytest.mark.soak
def test_a_file_of_the_client_ends_it(place: Place, real_client: Path) -> None:
    assert is_told(place)
    target = Path(place.settings["QUOTEMILL_TDX__CLIENT"]) / EVENTS
    target.parent.mkdir(parents=True)
    shutil.copy(real_client / EVENTS, target)

    done = place.inside("quotemill", "run", "tdx")

    assert done.returncode == 0, done.stderr
    assert WHY not in done.stderr
    assert not is_told(place)


@pytest.mark.soak
def test_a_csv_file_ends_it_and_an_acknowledgement_silences_it(place: Place) -> None:
    acknowledged = place.inside(
        "quotemill", "findings", "--ack", "no_corporate_action_source", "--reason", "an index fund"
    )
    assert acknowledged.returncode == 0, acknowledged.stderr
    assert WHY not in place.inside("quotemill", "status").stdout
    file = place.folder / "actions.csv"
    file.write_text(HEADER + f"{CODE},2016-06-15,13.6,0,0,0\n")

    done = place.inside(
        "quotemill", "run", "tdx", QUOTEMILL_TDX__CORPORATE_ACTIONS=str(file.absolute())
    )

    assert done.returncode == 0, done.stderr
    assert not is_told(place)
