"""The code list: what a new one keeps of the one before."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from loaders.tdx.context import Context, Security
from loaders.tdx.datasets import codes as dataset
from loaders.tdx.datasets.codes import list_delisted, merge
from tests.unit.tdx.test_vipdoc import day_record


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


def fake_load(*, accepts: bool = False) -> Any:
    warnings: list[str] = []
    return SimpleNamespace(accepts_loss=lambda *_: accepts, warn=warnings.append, warnings=warnings)


def folder_context(folder: Path, days: dict[str, int], *, accepts: bool = False) -> Context:
    """A load of a folder whose day files have one bar each."""
    for code, day in days.items():
        (folder / f"{code}.day").write_bytes(day_record(day, 10, 12, 9, 11))
    files = {code: folder / f"{code}.day" for code in days}
    now = datetime(2025, 6, 5, tzinfo=UTC)
    load = fake_load(accepts=accepts)
    return cast(Context, SimpleNamespace(day_files=files, load=load, clock=lambda: now))


@pytest.mark.parametrize("accepts", [False, True])
def test_a_clients_list_that_lacks_many_codes_delists_none_unasked(
    tmp_path: Path, *, accepts: bool
) -> None:
    codes = [stock(n).code for n in range(100)]
    before = {code: stock(n) for n, code in enumerate(codes)}
    listed_on = {"sh": date(2025, 6, 4)}
    # one was delisted before, and one has traded since
    before[codes[0]] = replace(before[codes[0]], is_listed=False)
    days = dict.fromkeys(codes[:12], 20250603) | {codes[11]: 20250604}
    ctx = folder_context(tmp_path, days, accepts=accepts)

    few = list_delisted(ctx, codes[:5], listed_on, before)
    [warning] = cast(Any, ctx.load).warnings
    many, failures = list_delisted(ctx, codes[:12], listed_on, before)

    assert few == ({*codes[:5]}, [])
    assert "4 of 99" in warning
    assert codes[1] in warning
    assert many == ({*codes[:11]} if accepts else {codes[0]})
    assert accepts == (not failures)
    assert all("10 of 99" in failure for failure in failures)


def files_context(counts: dict[str, int], *, hidden: str = "", accepts: bool = False) -> Context:
    """A load of a folder with so many files of day bars by exchange."""
    codes = [f"{exchange}{number:06}" for exchange, n in counts.items() for number in range(n)]
    folder = SimpleNamespace(
        bars=lambda period: codes if period == "day" else [], hides=lambda place: place == hidden
    )
    return cast(Context, SimpleNamespace(folder=folder, load=fake_load(accepts=accepts)))


def test_files_of_bars_may_vanish_one_by_one_not_many_at_once() -> None:
    cursor = "2025-06-03"
    for count in (100, 95, 91):
        counts, losses = dataset.count_files(files_context({"sh": count, "sz": 7}), cursor)
        assert (counts, losses) == ([count, 0, 0, 7, 0, 0, 0, 0, 0], [])
        cursor = " ".join(map(str, ["2025-06-03", *counts]))

    for _ in range(2):  # a failure each night
        counts, [loss] = dataset.count_files(files_context({"sh": 86, "sz": 7}), cursor)
        assert counts[0] == 91
        assert "vipdoc/sh/lday lacks 5 of 91" in loss
    counts, losses = dataset.count_files(files_context({"sh": 86}, accepts=True), cursor)
    assert (counts[0], losses) == (86, [])


def test_files_of_a_part_that_cannot_be_read_are_not_gone() -> None:
    ctx = files_context({"sz": 7}, hidden="vipdoc/sh/lday")
    counts, losses = dataset.count_files(ctx, "2025-06-03 91 0 0 7 0 0 0 0 0")
    assert (counts[0], losses) == (91, [])


def test_without_a_list_the_code_decides_the_kind_of_instrument() -> None:
    run = cast(Context, SimpleNamespace(securities={}))
    codes = ("sh510300", "sz399001", "sh600000", "sh880001")
    kinds = [Context.instrument_type(run, code) for code in codes]
    assert kinds == ["fund", "index", "stock", "stock"]
