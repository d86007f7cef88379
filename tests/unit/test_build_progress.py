"""How far a build is, by the events of dbt; and Ctrl-C."""

import signal
from contextlib import nullcontext
from typing import Any

import pytest
from dbt.events.types import ConcurrencyLine, JinjaLogWarning, LogStartLine, NodeFinished
from dbt_common.events.base_types import msg_from_base_event

from loaders.engine.progress import Silent
from orchestration.run.build import _describe
from orchestration.run.build_progress import NodeProgress, stoppable
from orchestration.run.build_record import describe_command


class Heard(Silent):
    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def line(self, text: str) -> None:
        self.calls.append((text,))

    def step(self, text: str) -> None:
        self.calls.append(("step", text))

    def start(self, dataset: str, total: int) -> None:
        self.calls.append(("start", total))

    def advance(self, dataset: str, keys: int) -> None:
        self.calls.append(("advance", keys))


def name_node(name: str, materialized: str = "table") -> dict[str, str]:
    return {"unique_id": f"model.{name}", "node_name": name, "materialized": materialized}


def test_a_warning_of_a_macro_is_printed() -> None:
    heard = Heard()
    NodeProgress(heard)(msg_from_base_event(JinjaLogWarning(msg="market.x")))
    assert heard.calls == [("build: market.x",)]


def test_nodes_are_counted_and_the_one_that_runs_longest_is_named() -> None:
    heard = Heard()
    hear = NodeProgress(heard)
    names = ("trading_days", "kline_daily")
    starts = [
        LogStartLine(description="", index=1, total=3, node_info=name_node(name)) for name in names
    ]
    ends = [
        NodeFinished(node_info=name_node(name), run_result={})
        for name in ("trading_days", "kline_daily", "skipped")
    ]
    for event in (
        ConcurrencyLine(num_threads=4, target_name="dev", node_count=2),
        NodeFinished(node_info=name_node("inlined", "ephemeral"), run_result={}),
        *starts,
        *ends,
    ):
        hear(msg_from_base_event(event))

    assert heard.calls == [
        ("start", 2),
        ("start", 1),  # a unit test, which dbt counts later
        ("step", "trading_days"),
        ("step", "trading_days"),
        ("step", "kline_daily"),
        ("advance", 1),
        ("step", ""),
        ("advance", 1),
        ("step", ""),
        ("advance", 1),
    ]


def test_ctrl_c_stops_a_build_with_one_line_and_then_ends_the_process() -> None:
    before = signal.getsignal(signal.SIGINT)
    heard = Heard()

    def build() -> None:
        with stoppable(lambda: nullcontext(heard)):
            try:
                signal.raise_signal(signal.SIGINT)
            except KeyboardInterrupt:
                assert signal.getsignal(signal.SIGINT) == signal.SIG_DFL
                raise RuntimeError("terminating connection") from None

    with pytest.raises(KeyboardInterrupt):
        build()

    [[line]] = heard.calls
    assert "Ctrl-C" in line
    assert signal.getsignal(signal.SIGINT) == before
    with pytest.raises(RuntimeError), stoppable(lambda: nullcontext(heard)):
        raise RuntimeError


@pytest.mark.parametrize(
    ("selection", "words"),
    [
        ("", "all tables"),
        (" --exclude tag:whole_tables", "all tables"),
        (" --select source:raw_tdx.codes+ --exclude test_name:x", "the models of codes"),
        (" --select source:raw_tq.a_b+ --select source:raw_tq.c+", "the models of a_b + c"),
        (4 * " --select source:raw_ib.session+", "the models of 4 changed tables"),
        (" --select kline_daily_qfq+ --threads 2", "the models kline_daily_qfq+"),
    ],
)
def test_what_a_build_makes_is_said_without_selectors(selection: str, words: str) -> None:
    assert describe_command(f"build{selection}") == words


def test_a_build_begins_with_a_sentence() -> None:
    assert _describe(1, None, []) == "build 1: full build"
    assert _describe(1, None, [], "x is gone") == "build 1: full build (x is gone)"
    assert _describe(2, ["raw_tdx.quote"], []) == "build 2 updates the models of one changed table"
    assert _describe(3, ["a.b", "a.c"], []) == "build 3 updates the models of 2 changed tables"
    asked = ["--select", "kline_daily_qfq+"]
    assert _describe(4, None, asked) == ("build 4 builds: --select kline_daily_qfq+")
