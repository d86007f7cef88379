"""The code list: what a new one keeps of the one before."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

from loaders.tdx.context import Context
from loaders.tdx.datasets.codes import Security, merge


class Counting(list[Any]):
    """A list that counts how often it is read from its beginning."""

    reads = 0

    def __iter__(self) -> Iterator[Any]:
        self.reads += 1
        return super().__iter__()


def stock(number: int) -> Security:
    return Security(f"sh6{number:05}", "x", "stock", "/api/codes")


def test_a_code_that_vanished_is_kept_as_such() -> None:
    rows = merge([stock(n) for n in range(99)], {stock(n).code: stock(n) for n in range(100)})
    assert [r.code for r in rows if not r.is_listed] == ["sh600099"]
    assert len(rows) == 100


def test_a_list_is_not_read_again_for_each_code() -> None:
    result = Counting(stock(n) for n in range(100))
    merge(result, {s.code: s for s in result})
    assert result.reads < 10


def test_without_a_list_the_code_decides_the_kind_of_instrument() -> None:
    run = cast(Context, SimpleNamespace(securities={}))
    codes = ("sh510300", "sz399001", "sh600000", "sh880001")
    kinds = [Context.instrument_type(run, code) for code in codes]
    assert kinds == ["fund", "index", "stock", "stock"]
