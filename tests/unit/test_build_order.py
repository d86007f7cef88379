"""dbt builds first what the longest work waits for."""

import threading
from queue import Empty, Queue
from types import SimpleNamespace
from typing import Any

import networkx as nx
import pytest
from dbt.graph.queue import GraphQueue
from dbt.task.build import BuildTask

from orchestration.run.build_order import count_threads, prices_first, rank_nodes

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


def test_dbt_has_its_own_order_outside_of_our_builds() -> None:
    before = GraphQueue._get_scores, BuildTask.handle_job_queue

    with prices_first(processors=2):
        during = GraphQueue._get_scores, BuildTask.handle_job_queue
    after = GraphQueue._get_scores, BuildTask.handle_job_queue

    assert after == before
    assert not set(during) & set(before)


class Build:
    """A build of tables without parents by dbt's own queue; `days` are adjusted prices."""

    def __init__(self, names: list[str]) -> None:
        config = SimpleNamespace(materialized="table", meta={})
        nodes = {
            name: SimpleNamespace(
                unique_id=name, config=config, tags=["adjusted_prices"] if name == "days" else []
            )
            for name in names
        }
        graph: nx.DiGraph = nx.DiGraph()
        graph.add_nodes_from(names)
        manifest: Any = SimpleNamespace(nodes=nodes, expect=nodes.__getitem__)
        self.job_queue = GraphQueue(graph, manifest, set(names))
        self.begun: Queue[str] = Queue()

    def begin_all(self, threads: int) -> None:
        task: Any = self
        pool = SimpleNamespace(max_threads=threads)
        while not self.job_queue.empty():
            BuildTask.handle_job_queue(task, pool, None)

    def begin_next(self, pool: Any, callback: Any) -> None:
        self.begun.put(self.job_queue.get().unique_id)

    def next_begun(self) -> str:
        return self.begun.get(timeout=60)


def test_threads_beyond_the_processors_wait_until_the_prices_stand(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(BuildTask, "handle_job_queue", Build.begin_next)
    with prices_first(processors=2):
        build = Build(["view_1", "view_2", "days", "view_3", "view_4"])
        thread = threading.Thread(target=build.begin_all, args=(4,), daemon=True)
        thread.start()

        assert [build.next_begun(), build.next_begun()] == ["days", "view_1"]
        with pytest.raises(Empty):
            build.begun.get(timeout=0.2)
        build.job_queue.mark_done("view_1")
        assert build.next_begun() == "view_2"
        with pytest.raises(Empty):
            build.begun.get(timeout=0.2)
        build.job_queue.mark_done("days")
        assert [build.next_begun(), build.next_begun()] == ["view_3", "view_4"]
        thread.join(timeout=60)
    assert build.job_queue.in_progress == {"view_2", "view_3", "view_4"}
