"""What callers of `import quotemill` write: any kind of a day, codes, words; else an error."""

import re
from datetime import UTC, date, datetime
from typing import Any, cast

import numpy as np
import pandas
import pyarrow as pa
import pytest

from quotemill.errors import UsageError
from quotemill.methods.arguments import (
    read_columns,
    read_count,
    read_day,
    read_moment,
    read_names,
    read_time,
    read_word,
)
from quotemill.methods.words import (
    Adjustment,
    Frequency,
    FuturesAdjustment,
    FuturesFrequency,
    translate,
)
from quotemill.readers.queries import Table
from quotemill.readers.tables import choose_entity, select_rows

DAY = date(2026, 11, 24)


@pytest.mark.parametrize(
    "given",
    [
        20261124,
        np.int64(20261124),
        np.int32(20261124),
        "2026/11/24",
        "2026-11-24 00:00:00",
        "2026-11-24T00:00:00.000000",
        pandas.Timestamp("2026-11-24"),
        np.datetime64("2026-11-24T00:00", "ns"),
    ],
)
def test_a_day_may_be_written_in_any_way(given: Any) -> None:
    assert type(read_moment(given)) is date
    assert read_moment(given) == read_day(given) == DAY


@pytest.mark.parametrize(
    "given", [np.float64(20261124), np.int64(3), True, b"2026-11-24", np.bool_(True)]
)
def test_what_is_no_day_is_not_one_of_1970(given: Any) -> None:
    with pytest.raises(UsageError, match=re.escape(str(given))):
        read_moment(given)


@pytest.mark.parametrize(
    "given",
    [
        pandas.Timestamp("2026-11-23 16:00", tz="UTC"),
        pandas.Timestamp("2026-11-23 11:00", tz="America/New_York"),
        pandas.Timestamp("2026-11-24", tz="Asia/Shanghai"),
        datetime(2026, 11, 23, 16, tzinfo=UTC),
        "2026-11-24 00:00:00+08:00",
        "2026-11-24 00:00",
    ],
)
def test_a_time_with_a_zone_is_an_instant_at_midnight_too(given: Any) -> None:
    assert read_moment(given) == datetime(2026, 11, 23, 16, tzinfo=UTC)
    with pytest.raises(UsageError, match=re.escape(str(given))) as refused:
        read_day(given)
    assert refused.value.hint == 'Write "2026-11-24".'


def test_codes_and_columns_may_be_of_any_library() -> None:
    names = ["sh600000", "sh600004"]
    for given in (pa.array(names), pa.chunked_array([names]), pandas.Index(names), iter(names)):
        assert read_names(cast(Any, given)) == names
    assert read_columns(pandas.Index(["close"])) == ["close"]
    assert read_columns(name for name in ("open", "close")) == ["open", "close"]
    assert read_count(cast(Any, np.int64(3))) == 3


@pytest.mark.parametrize(
    ("read", "given", "says"),
    [
        (read_names, 600000, "code .* 600000"),
        (read_names, [600000], "code .* 600000"),
        (read_names, [None], "code .* None"),
        (read_names, b"600000", "code .* b'600000'"),
        (read_columns, [1], "column .* 1"),
        (read_count, "3", "count .* '3'"),
        (read_count, 2.5, "count .* 2.5"),
        (read_count, True, "count .* True"),
        (read_time, DAY, "time: 2026-11-24"),
        (
            lambda given: read_word(given, "variety", "SHFE.cu"),
            ["DCE.m"],
            r"variety .* \['DCE.m'\]",
        ),
    ],
)
def test_values_of_other_types_are_errors_with_a_hint(read: Any, given: Any, says: str) -> None:
    with pytest.raises(UsageError, match=says) as refused:
        read(given)
    assert refused.value.hint


@pytest.mark.parametrize(
    ("kind", "ours", "theirs"),
    [
        (Frequency, "1d", "1D"),
        (Frequency, "1w", "1W"),
        (Frequency, "1mo", "ME"),
        (Frequency, "1q", "1Q QE"),
        (Frequency, "1y", "1Y YE"),
        (Frequency, "1m", "min"),
        (FuturesFrequency, "60m", "h H"),
        (Adjustment, "qfq", "QFQ front"),
        (Adjustment, "hfq", "HFQ back"),
        (FuturesAdjustment, "none", "bfq"),
        (FuturesAdjustment, "back_ratio", "back_ratio"),
    ],
)
def test_words_of_other_libraries_are_ours(kind: Any, ours: str, theirs: str) -> None:
    assert {translate(word, kind) for word in theirs.split()} == {ours}


def test_a_word_that_a_kind_has_not_stays_as_it_is_written() -> None:
    assert translate(None, Adjustment) == "none"
    assert translate(None, Frequency) == "None"
    assert translate("pre", FuturesAdjustment) == "pre"
    assert translate("weekly", FuturesFrequency) == "weekly"
    assert translate("daily", Adjustment) == "daily"
    assert translate(["qfq"], Adjustment) == "['qfq']"


def test_rows_of_futures_come_by_contract_where_one_is_named() -> None:
    terms = Table("futures.contract_daily_terms", ("contract", "variety", "trading_day"))
    for texts, entity in ((["SHFE.au2412"], "contract"), (["SHFE.au"], "variety")):
        table = choose_entity(terms, texts)
        query, _ = select_rows(table, codes=texts, count=1)
        assert f"where {entity} = %(codes)s order by {entity} desc, trading_day desc" in query
    assert choose_entity(Table("futures.main_daily", ("variety",)), ["x1"]).entity == "variety"
