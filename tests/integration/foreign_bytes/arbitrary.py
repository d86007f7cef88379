"""Arbitrary bytes from outside, and the check that no parser fails but as one of ours."""

import math
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from quotemill.errors import QuotemillError

# what no number, day or text of a sane sender is
ODD_TEXTS = st.sampled_from(
    [
        "",
        "0" * 5000,
        "9" * 5000,
        "-1",
        "1e400",
        "nan",
        "inf",
        "\0",
        "\ud800",
        "٣",
        "é",
        "99999999999999999999",
        "Fri, 31 Dec 9999 23:59:59 -1400",
        "0001-01-01",
        "00010101",
        "Mon, 01 Jan 99999999999 00:00:00 GMT",
        "99991231 23:59:59 US/Eastern",
        "[" * 3000,
        "Thu, 01 Jan 0001 00:00:00 +1400",
        "2025-02-30T15:00:00+08:00",
        "a\rb",
        '"',
        "x" * 140_000,
    ]
)
ODD_NUMBERS = st.sampled_from(
    [10**30, -(10**30), 2**63, -(2**63) - 1, 1e308, -1e308, 10**400, 0, -1, math.inf, math.nan]
)
TEXTS = st.text(max_size=30) | ODD_TEXTS
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS | ODD_NUMBERS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)


def fails_as_ours(work: Callable[[], object]) -> None:
    """Do it; an internal error, or one of no kind of ours, fails the test."""
    raised: list[QuotemillError] = []
    try:
        work()
    except QuotemillError as error:
        raised.append(error)
    for error in raised:
        assert type(error) is not QuotemillError
        assert "\0" not in str(error)  # the warehouse could not store it
        assert str(error).encode()


@st.composite
def damaged(draw: st.DrawFn, good: bytes) -> bytes:
    """Arbitrary bytes, or good ones with some replaced, taken out or put in."""
    if draw(st.integers(0, 3)) == 0:
        return draw(st.binary(max_size=400))
    content = good
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(content)))
        end = draw(st.integers(start, min(len(content), start + 40)))
        odd = ODD_TEXTS.map(lambda text: text.encode("utf-8", "surrogatepass"))
        content = content[:start] + draw(st.binary(max_size=12) | odd) + content[end:]
    return content


@st.composite
def altered(draw: st.DrawFn, good: Any) -> Any:
    """A good document with an arbitrary value in one of its places."""
    if isinstance(good, dict) and good and draw(st.integers(0, 5)):
        key = draw(st.sampled_from(sorted(good)))
        if draw(st.integers(0, 8)) == 0:
            return {name: value for name, value in good.items() if name != key}
        return {**good, key: draw(altered(good[key]))}
    if isinstance(good, list) and good and draw(st.integers(0, 5)):
        at = draw(st.integers(0, len(good) - 1))
        return [*good[:at], draw(altered(good[at])), *good[at + 1 :]]
    return draw(VALUES)
