"""The counts of a task's rows."""

from loaders.engine.jobs import Task


def test_rows_that_a_newer_answer_lacks_make_no_count_negative() -> None:
    task = Task(1, "main_events", rows_read=4, rows_new=1, rows_changed=5)
    assert task.rows_unchanged == 0
    assert Task(1, "main_events", rows_read=4, rows_new=1, rows_changed=1).rows_unchanged == 2
