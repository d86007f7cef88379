"""The order in which dbt builds: adjusted prices, then what the longest work waits for.

dbt takes nodes by their depth in the graph, and hands all that are ready to its threads at once. So
the few tables of a whole market, which take nearly all of the time, began after hundreds of small
views and tests, and shared the processors until all of them ended together.
"""

from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any

from loaders.warehouse import profiles

STORED = 10  # the work of a usual table, in views; `meta.work` of a model is in such tables
FIRST = "adjusted_prices"  # the tag of models that come before all others, with their parents


def rank_nodes(
    sorted_nodes: Sequence[str],
    edges: Iterable[tuple[str, str]],
    tables: Mapping[str, int],
    first: Set[str] = frozenset(),
) -> dict[str, tuple[int, int]]:
    """Rank nodes, the lowest to be built first.

    What a node of `first` waits for comes before all others; then comes the node with the longest
    work from it to the end of the build. tables: the work of each table, in usual tables.
    """
    children: dict[str, list[str]] = {name: [] for name in sorted_nodes}
    for parent, child in edges:
        children[parent].append(child)
    work: dict[str, int] = {}
    wanted = set(first)
    for name in reversed(sorted_nodes):
        after = max((work[child] for child in children[name]), default=0)
        work[name] = after + (STORED * tables[name] if name in tables else 1)
        if not wanted.isdisjoint(children[name]):
            wanted.add(name)
    return {name: (int(name not in wanted), -length) for name, length in work.items()}


def count_threads(
    unfinished: Iterable[tuple[int, int]], threads: int, processors: int | None
) -> int:
    """How many of dbt's threads may work while nodes of these ranks are unfinished."""
    if processors and any(is_later == 0 for is_later, _ in unfinished):
        return min(threads, processors)
    return threads


def ranked_queue(processors: int | None) -> Any:
    """Make dbt's queue of nodes, which takes them by rank, and no more than can begin.

    processors: those that the server shares with dbt, if it does. No more nodes are built at a
    time until the prices stand, as each further one would slow them down.
    """
    from dbt.flags import get_flags
    from dbt.graph.queue import GraphQueue

    class RankedQueue(GraphQueue):  # type: ignore[misc]
        def _get_scores(self, graph: Any) -> dict[str, tuple[int, int]]:
            nodes = self.manifest.nodes
            by_depth = [name for level in self._grouped_topological_sort(graph) for name in level]
            models = {name: nodes[name] for name in by_depth if name in nodes}
            return rank_nodes(
                by_depth,
                graph.edges,
                {
                    name: node.config.meta.get("work", 1)
                    for name, node in models.items()
                    if node.config.materialized == "followed"
                },
                {name for name, node in models.items() if FIRST in node.tags},
            )

        def get(self, block: bool = True, timeout: float | None = None) -> Any:
            threads = getattr(get_flags(), "THREADS", None) or profiles.THREADS

            def is_free() -> bool:
                ranks = (self._scores[name] for name in self.graph)  # of all that are not done
                return len(self.in_progress) < count_threads(ranks, threads, processors)

            with self.some_task_done:
                self.some_task_done.wait_for(is_free)
            return super().get(block, timeout)

    return RankedQueue
