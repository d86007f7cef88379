"""The tables of fields that are not stored name what the readers leave out, and nothing else."""

import asyncio
import inspect
import re
from collections.abc import Iterable
from dataclasses import fields
from fnmatch import fnmatch
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from loaders.tdx.client import answers, answers_quotes
from loaders.tq.client.program import instruments, mains, quotes
from tests.requirements import require, require_ib

ROOT = Path(__file__).parents[2]


def listed(page: str, *of: str) -> set[str]:
    """The names, or patterns of names, in the rows of some answers."""
    text = (ROOT / f"docs/datasets/{page}.md").read_text("utf-8")
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \|.*$", text.partition("not stored\n")[2], re.M)
    return {name for answer, cell in rows if answer in of for name in re.findall("`(.+?)`", cell)}


def check(table: set[str], unread: Iterable[str]) -> None:
    names = set(unread)
    missing = {name for name in names if not any(fnmatch(name, p) for p in table)}
    wrong = {p for p in table if not any(fnmatch(name, p) for name in names)}
    assert (missing, wrong) == (set(), set())


def attributes(path: str, of: str) -> set[str]:
    """What the modules of a folder read of objects under some names."""
    source = "".join(file.read_text("utf-8") for file in (ROOT / path).glob("*.py"))
    return set(re.findall(rf"\b(?:{of})\.(\w+)", source))


@pytest.mark.parametrize(
    ("answer", "unread"),
    [
        ("bar", set(answers.BAR_FIELDS) - {"Time"} - {n.title() for n in answers.COLUMNS}),
        ("bars by period", answers.UNREAD_META),
        ("quote", answers_quotes.UNREAD_QUOTE),
        ("list of codes", answers.UNREAD_LIST | answers.UNREAD_LISTING),
        ("counts of the market", answers_quotes.UNREAD_STATS),
    ],
)
def test_the_table_of_a_shares_names_what_is_not_read(answer: str, unread: set[str]) -> None:
    check(listed("kline_daily", answer), unread - {"UpCount", "DownCount"})


async def import_ib() -> Any:
    """It looks for the event loop of its thread, which an earlier test may have taken away."""
    import ib_async

    return ib_async


def test_the_table_of_options_names_what_is_not_read() -> None:
    require_ib()
    ib_async = asyncio.run(import_ib())
    for answer, kind, of in (
        ("quote", ib_async.Ticker, "ticker|under"),
        ("contract details", ib_async.ContractDetails, "row"),
        ("option parameters", ib_async.OptionChain, "row"),
        ("greeks", ib_async.OptionComputation, "model|bidGreeks|askGreeks"),
        ("day bar", ib_async.BarData, "bar"),
    ):
        names = getattr(kind, "_fields", None) or [field.name for field in fields(kind)]
        check(
            listed("options", answer),
            set(names) - attributes("loaders/ib/client", of) - {"contract"},
        )


def test_the_table_of_futures_names_what_is_not_read() -> None:
    require("tq", find_spec("tqsdk") is not None, "no tqsdk")
    from tqsdk.objs import Quote

    known = set(re.findall(r"self\.([a-z]\w+)", inspect.getsource(Quote.__init__)))
    source = "".join(inspect.getsource(module) for module in (instruments, mains, quotes))
    read = {name for name in known if re.search(rf"\b{name}\b", source)}
    read |= {
        "underlying_symbol",
        "trading_time",
    }  # of a main contract, and as the hours of a session
    check(listed("futures", "quote", "instrument") - {"trading_time"}, known - read)
