"""Keep dbt's threads from building syntax trees at the same time.

CPython before 3.13 counts the depth of all syntax trees under construction in one place. While one
thread builds a tree, a garbage collection may let another thread build one too, and the first ends
with `SystemError: AST constructor recursion depth mismatch`. dbt evaluates literals in each of its
threads, so one model in some thousand builds failed by it (CPython's issue 106905).
"""

import ast
import contextlib
import functools
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any


def parsed_alone(parse: Callable[..., ast.AST]) -> Callable[..., ast.AST]:
    """`parse` for one thread at a time."""
    lock = threading.RLock()

    @functools.wraps(parse)
    def parse_alone(*arguments: Any, **options: Any) -> ast.AST:
        with lock:
            return parse(*arguments, **options)

    return parse_alone


@contextlib.contextmanager
def built_one_at_a_time() -> Iterator[None]:
    """Let one thread at a time into `ast.parse`, which `ast.literal_eval` calls too."""
    if sys.version_info >= (3, 13):
        yield
        return
    parse = ast.parse
    setattr(ast, "parse", parsed_alone(parse))  # noqa: B010
    try:
        yield
    finally:
        setattr(ast, "parse", parse)  # noqa: B010
