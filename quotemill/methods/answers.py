"""Methods that answer with rows, or by `batches=True` with a reader of batches."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import wraps
from typing import (
    TYPE_CHECKING,
    Any,
    Concatenate,
    Generic,
    Literal,
    ParamSpec,
    Protocol,
    TypeAlias,
    overload,
)

from quotemill.rows import Rows

if TYPE_CHECKING:
    import pyarrow as pa

P = ParamSpec("P")
Answer: TypeAlias = "Rows | pa.RecordBatchReader"


class Reading(Protocol[P]):
    """A method with the words P, and with `batches`, beside which type checkers know no others."""

    @overload
    def __call__(self, *args: P.args, **words: P.kwargs) -> Rows: ...
    @overload
    def __call__(self, *args: Any, batches: Literal[False], **words: Any) -> Rows: ...
    @overload
    def __call__(
        self, *args: Any, batches: Literal[True], **words: Any
    ) -> pa.RecordBatchReader: ...
    @overload
    def __call__(self, *args: Any, batches: bool, **words: Any) -> Answer: ...


def reading(method: Callable[Concatenate[Any, bool, P], Answer]) -> Reading[P]:
    """A method whose `batches`, the first that it takes, callers write by its name."""
    read: Reading[P] = _name_batches(method, method)
    return read


class Reads(Generic[P]):
    """Makes methods that read one table each, with the words of a method that reads any.

    read: it takes the table and the order of its rows after `batches`
    """

    def __init__(
        self, read: Callable[Concatenate[Any, bool, str, Sequence[str] | None, P], Answer]
    ) -> None:
        self._read = read

    def __call__(
        self, table: str, order: Sequence[str] | None = None
    ) -> Callable[[Callable[[Any], None]], Reading[P]]:
        """A method of the name and the text of the decorated one.

        order: the columns that rows are ordered by; None: by code and time
        """
        return lambda described: _name_batches(self._read, described, table, order)


def _name_batches(method: Callable[..., Answer], described: Any, *given: Any) -> Any:
    @wraps(described)
    def read(self: Any, *args: Any, batches: bool = False, **words: Any) -> Answer:
        return method(self, batches, *given, *args, **words)

    whole = inspect.signature(method)
    own, last, *others = whole.parameters.values()
    last = last.replace(kind=inspect.Parameter.KEYWORD_ONLY, default=False)
    shown = whole.replace(parameters=[own, *others[len(given) :], last])
    read.__signature__ = shown  # type: ignore[attr-defined]
    return read
