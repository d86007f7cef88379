"""Threads that evaluate literals at once, as dbt's do."""

import ast
import gc
import inspect
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from orchestration.run.syntax_trees import built_one_at_a_time

LITERAL = f"{'[' * 40}{', '.join(['{1: [2, (3, 4)]}'] * 100)}{']' * 40}"


class Finalized:
    """Part of a circle; collecting it runs Python, where another thread may take over."""

    def __init__(self) -> None:
        self.circle = self

    def __del__(self) -> None:
        sum(range(50))


@pytest.fixture
def hasty_threads() -> Iterator[None]:
    thresholds, interval = gc.get_threshold(), sys.getswitchinterval()
    gc.set_threshold(10)
    sys.setswitchinterval(1e-6)
    yield
    gc.set_threshold(*thresholds)
    sys.setswitchinterval(interval)


def evaluate(_: int) -> int:
    """How many of 40 literals could not be evaluated."""
    failed = 0
    for _ in range(40):
        Finalized()
        try:
            ast.literal_eval(LITERAL)
        except SystemError:
            failed += 1
    return failed


@pytest.mark.usefixtures("hasty_threads")
def test_threads_evaluate_literals_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    parse = inspect.unwrap(ast.parse)
    monkeypatch.setattr(ast, "parse", parse)
    with built_one_at_a_time(), ThreadPoolExecutor(4) as threads:
        assert sum(threads.map(evaluate, range(4))) == 0
    assert ast.parse is parse
