"""The causes of an error, also of one that led to another and was raised again."""

from quotemill.errors import walk_causes


def test_a_cause_that_is_raised_again_is_listed_once() -> None:
    cause, step = OSError("no such file"), ValueError("a step failed")
    step.__cause__, cause.__cause__ = cause, step
    assert list(walk_causes(cause)) == [cause, step]
