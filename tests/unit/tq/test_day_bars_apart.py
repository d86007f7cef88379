"""Day bars are asked for ten contracts at once: what one of them costs the others."""

from collections.abc import Collection, Sequence
from datetime import date
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

from loaders.errors import UpstreamError
from loaders.tq.datasets import contract_daily
from loaders.tq.errors import TqAnswerError, TqClientError, TqTimeout

DAY = date(2025, 10, 15)
CONTRACTS = [f"SHFE.cu26{month:02}" for month in range(1, 6)]


def told(error: UpstreamError, bad: Collection[str]) -> tuple[list[bool], list[int]]:
    """Which of the contracts got their bars, and how many each question was about."""
    asked: list[int] = []

    def daily(contracts: Sequence[str], *_: date) -> pa.Table:
        asked.append(len(contracts))
        if set(contracts) & set(bad):
            raise error
        return pa.table({"contract": list(contracts)})

    run: Any = SimpleNamespace(harvest=SimpleNamespace(daily=daily), today=DAY)
    found = contract_daily._asked(run, CONTRACTS, DAY)
    assert list(found) == CONTRACTS
    assert all(answer is error for c, answer in found.items() if c in bad)
    return [isinstance(answer, pa.Table) for answer in found.values()], asked


@pytest.mark.parametrize("kind", [TqClientError, TqAnswerError, TqTimeout])
def test_a_contract_whose_bars_never_come_costs_no_other(kind: type[UpstreamError]) -> None:
    there, asked = told(kind("odd"), CONTRACTS[1:2])
    assert there == [True, False, True, True, True]
    assert asked == [5, 1, 1, 1, 1, 1]


def test_servers_that_are_silent_about_two_in_a_row_are_asked_for_no_third() -> None:
    there, asked = told(TqTimeout("no sign of life"), CONTRACTS)
    assert there == [False] * 5
    assert asked == [5, 1, 1]
