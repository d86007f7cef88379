"""The order in which dbt builds: first what the longest work waits for.

dbt takes nodes by their depth in the graph, and hands all that are ready to its threads at once. So
the few tables of a whole market, which take nearly all of the time, began after hundreds of small
views and tests.
"""

import contextlib
from collections.abc import Iterable, Iterator, Sequence, Set
from typing import Any

STORED = 10  # the work of a table, in views


def rank_nodes(
    sorted_nodes: Sequence[str], edges: Iterable[tuple[str, str]], tables: Set[str]
) -> dict[str, int]:
    """Rank nodes by the longest work from each to the end of the build; the longest is lowest."""
    children: dict[str, list[str]] = {name: [] for name in sorted_nodes}
    for parent, child in edges:
        children[parent].append(child)
    work: dict[str, int] = {}
    for name in reversed(sorted_nodes):
        after = max((work[child] for child in children[name]), default=0)
        work[name] = after + (STORED if name in tables else 1)
    return {name: -length for name, length in work.items()}


@contextlib.contextmanager
def longest_work_first() -> Iterator[None]:
    """Let dbt rank nodes by that, and hand out no more than its threads can begin."""
    from dbt.graph.queue import GraphQueue
    from dbt.task.build import BuildTask

    score, hand_out = GraphQueue._get_scores, BuildTask.handle_job_queue

    def score_by_work(queue: Any, graph: Any) -> dict[str, int]:
        nodes = queue.manifest.nodes
        by_depth = [name for level in queue._grouped_topological_sort(graph) for name in level]
        tables = {
            name
            for name in by_depth
            if name in nodes and nodes[name].config.materialized == "incremental"
        }
        return rank_nodes(by_depth, graph.edges, tables)

    def hand_out_when_free(task: Any, pool: Any, callback: Any) -> None:
        queue = task.job_queue
        with queue.some_task_done:
            queue.some_task_done.wait_for(lambda: len(queue.in_progress) < pool.max_threads)
        hand_out(task, pool, callback)

    setattr(GraphQueue, "_get_scores", score_by_work)  # noqa: B010
    setattr(BuildTask, "handle_job_queue", hand_out_when_free)  # noqa: B010
    try:
        yield
    finally:
        setattr(GraphQueue, "_get_scores", score)  # noqa: B010
        setattr(BuildTask, "handle_job_queue", hand_out)  # noqa: B010
