"""dbt builds first what the longest work waits for."""

from dbt.graph.queue import GraphQueue
from dbt.task.build import BuildTask

from orchestration.run.build_order import longest_work_first, rank_nodes

# a chain of tables behind a view, and views and tests that nothing waits for
EDGES = [("events", "segments"), ("segments", "days"), ("days", "weeks"), ("quotes", "shown")]
TABLES = {"segments", "days", "weeks"}
BY_DEPTH = ["quotes", "events", "shown", "segments", "days", "weeks"]
IN_ORDER = ["events", "segments", "days", "weeks", "quotes", "shown"]


def test_what_tables_wait_for_comes_before_views_of_the_same_depth() -> None:
    ranks = rank_nodes(BY_DEPTH, EDGES, TABLES)

    assert sorted(BY_DEPTH, key=lambda name: (ranks[name], name)) == IN_ORDER


def test_dbt_has_its_own_order_outside_of_our_builds() -> None:
    before = GraphQueue._get_scores, BuildTask.handle_job_queue

    with longest_work_first():
        during = GraphQueue._get_scores, BuildTask.handle_job_queue
    after = GraphQueue._get_scores, BuildTask.handle_job_queue

    assert after == before
    assert not set(during) & set(before)
