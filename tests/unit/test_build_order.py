"""dbt builds first what the longest work waits for."""

import threading
from queue import Empty, Queue
from types import SimpleNamespace
from typing import Any

import networkx as nx
import pytest

from loaders.warehouse import profiles
from orchestration.run.build_order import count_threads, rank_nodes, ranked_queue

# a chain of tables behind a view, and views and tests that nothing waits for
EDGES = [("events", "segments"), ("segments", "days"), ("days", "weeks"), ("quotes", "shown")]
TABLES = {"segments": 1, "days": 1, "weeks": 1}
BY_DEPTH = ["quotes", "events", "shown", "segments", "days", "weeks"]
IN_ORDER = ["events", "segments", "days", "weeks", "quotes", "shown"]


def test_what_tables_wait_for_comes_before_views_of_the_same_depth() -> None:
    ranks = rank_nodes(BY_DEPTH, EDGES, TABLES)

    assert sorted(BY_DEPTH, key=lambda name: (ranks[name], name)) == IN_ORDER


def test_a_table_of_much_work_comes_before_a_chain_of_less() -> None:
    edges = [("bars", "days"), ("days", "weeks"), ("bars", "returns")]
    names = ["bars", "days", "returns", "weeks"]

    ranks = rank_nodes(names, edges, {"days": 1, "weeks": 1, "returns": 5})

    assert sorted(names, key=lambda name: ranks[name]) == ["bars", "returns", "days", "weeks"]


def test_prices_and_what_they_wait_for_come_before_longer_work() -> None:
    names = [*BY_DEPTH, "limits"]
    edges = [*EDGES, ("shown", "limits")]

    ranks = rank_nodes(names, edges, TABLES | {"limits": 9}, {"shown"})

    in_order = sorted(names, key=lambda name: ranks[name])
    assert in_order[:2] == ["quotes", "shown"]
    assert ranks["limits"] < ranks["events"]


def test_processors_limit_what_is_built_beside_the_prices_alone() -> None:
    prices, others = (0, -21), (1, -62)

    assert count_threads([others, prices], threads=4, processors=2) == 2
    assert count_threads([others, prices], threads=4, processors=8) == 4
    assert count_threads([others], threads=4, processors=2) == 4
    assert count_threads([others, prices], threads=4, processors=None) == 4


def queue_of(names: list[str]) -> Any:
    """dbt's queue of tables without parents; `days` are adjusted prices."""
    config = SimpleNamespace(materialized="table", meta={})
    nodes = {
        name: SimpleNamespace(
            unique_id=name,
            resource_type="model",
            config=config,
            tags=["adjusted_prices"] if name == "days" else [],
        )
        for name in names
    }
    graph: nx.DiGraph = nx.DiGraph()
    graph.add_nodes_from(names)
    manifest: Any = SimpleNamespace(nodes=nodes, expect=nodes.__getitem__)
    return ranked_queue(processors=2)(graph, manifest, set(names))


def test_threads_beyond_the_processors_wait_until_the_prices_stand(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(profiles, "THREADS", 4)
    nodes = queue_of(["view_1", "view_2", "days", "view_3", "view_4"])
    begun: Queue[str] = Queue()

    def begin_all() -> None:
        while not nodes.empty():
            begun.put(nodes.get().unique_id)

    def next_begun() -> str:
        return begun.get(timeout=60)

    thread = threading.Thread(target=begin_all, daemon=True)
    thread.start()

    assert [next_begun(), next_begun()] == ["days", "view_1"]
    with pytest.raises(Empty):
        begun.get(timeout=0.2)
    nodes.mark_done("view_1")
    assert next_begun() == "view_2"
    with pytest.raises(Empty):
        begun.get(timeout=0.2)
    nodes.mark_done("days")
    assert [next_begun(), next_begun()] == ["view_3", "view_4"]
    thread.join(timeout=60)
    assert nodes.in_progress == {"view_2", "view_3", "view_4"}
