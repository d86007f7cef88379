"""The hash of rows: their order does not matter, anything else does."""

from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.archive.content import (
    Content,
    content,
    content_from_sums,
    difference,
    row_hashes,
    runs,
    sum_hashes,
)
from orchestration.archive.units import UNITS

SCHEMA = pa.schema(
    [
        ("name", pa.string()),
        ("price", pa.decimal128(18, 6)),
        ("size", pa.int64()),
        ("iv", pa.float64()),
        ("flags", pa.list_(pa.string())),
    ]
)
TEXT = st.one_of(st.none(), st.text("ab,\n\"'é\u4e2d ", max_size=4))
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "name": TEXT,
            "price": st.one_of(
                st.none(), st.decimals("-1000000", "1000000", places=6, allow_nan=False)
            ),
            "size": st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)),
            "iv": st.one_of(st.none(), st.floats(allow_nan=False)),
            "flags": st.one_of(st.none(), st.lists(st.text("abc", min_size=1), max_size=3)),
        }
    ),
    max_size=8,
)


def of(rows: list[dict[str, Any]]) -> Content:
    return content(pa.Table.from_pylist(rows, SCHEMA))


@given(ROWS, st.randoms())
def test_the_order_of_rows_and_the_chunks_they_came_in_do_not_matter(
    rows: Any, random: Any
) -> None:
    mixed = random.sample(rows, len(rows))
    half = len(rows) // 2
    assert of(rows) == of(mixed) == of(mixed[:half]) + of(mixed[half:])
    assert Content.parse(len(rows), of(rows).hash) == of(rows)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("name", ""),
        ("name", None),
        ("name", "AAPL "),
        ("price", Decimal("1.000001")),
        ("price", None),
        ("size", 0),
        ("size", None),
        ("iv", -0.0),
        ("iv", None),
        ("iv", 0.25000000000000006),
        ("flags", []),
        ("flags", None),
        ("flags", ["a"]),
    ],
)
def test_any_other_value_is_another_hash(name: str, value: Any) -> None:
    row = {
        "name": "AAPL",
        "price": Decimal("1"),
        "size": 1,
        "iv": 0.25,
        "flags": ["a", "b"],
    }
    zero = row | {"iv": 0.0} if name == "iv" and value == 0 else row
    assert of([zero]) != of([zero | {name: value}])
    assert of([zero]) != of([zero, zero])


def test_values_that_change_places_between_rows_or_columns_are_another_hash() -> None:
    first, second = {"name": "a", "size": 1}, {"name": "b", "size": 2}
    assert of([first, second]) != of([first | {"size": 2}, second | {"size": 1}])
    pair = pa.schema([("a", pa.string()), ("b", pa.string())])
    left, right = ({"a": "x", "b": None}, {"a": None, "b": "x"})
    assert content(pa.Table.from_pylist([left], pair)) != content(
        pa.Table.from_pylist([right], pair)
    )


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from([1, 2, None])), max_size=12))
def test_contents_by_key_are_those_of_the_rows_with_that_key(pairs: list[tuple[str, Any]]) -> None:
    keys = pa.table(
        {
            "k": pa.array([k for k, _ in pairs], pa.string()),
            "n": pa.array([n for _, n in pairs], pa.int64()),
        }
    )
    rows = pa.table({"row": pa.array(range(len(pairs)), pa.int64())})
    hashes, actual = row_hashes(rows), dict[tuple[Any, ...], Content]()
    for key, start, end in runs(keys):
        actual[key] = actual.get(key, Content()) + sum_hashes(hashes[start:end])
    wanted = {
        pair: content(rows.filter(pa.array([p == pair for p in pairs], pa.bool_())))
        for pair in pairs
    }
    assert actual == wanted
    stretches = list(runs(keys))
    assert [n for _, begin, end in stretches for n in range(begin, end)] == list(range(len(pairs)))
    assert all(
        keys.slice(b, e - b).to_pylist() == [dict(zip("kn", key, strict=True))] * (e - b)
        for key, b, e in stretches
    )


@pytest.mark.parametrize("decimals", [7, 8])
def test_a_numeric_that_arrow_would_write_with_an_exponent_is_refused(decimals: int) -> None:
    tiny = Decimal(1).scaleb(-decimals)
    column = pa.table({"x": pa.array([tiny], pa.decimal128(18, decimals))})
    with pytest.raises(ValueError, match=f"{decimals} decimals"):
        content(column)


def test_the_first_key_that_differs_is_named_whichever_side_has_it() -> None:
    row = Content(1, 2, 3)
    assert content_from_sums(0, None, None) == Content()
    assert difference({("b", 1): row}, {("b", 1): row}) is None
    assert difference({("b", 1): row}, {("b", 1): row, ("a", 2): row}) == "a 2"
    assert difference({("a", n): row for n in range(40, 1, -1)}, {}) == "a 2"


def test_units_are_words_of_few_kinds() -> None:
    assert UNITS["bid"] == "USD per share"
    assert len(set(UNITS.values())) < 20
