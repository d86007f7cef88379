"""Codes as people write them."""

import re

import pytest

from quotemill.codes import read_code, read_codes
from quotemill.errors import UsageError

FORMS = "sh600000 SH600000 600000 600000.SH 600000.ss SHSE.600000 sse.600000 600000.XSHG sh.600000"


@pytest.mark.parametrize("text", FORMS.split())
def test_a_code_is_understood_as_people_and_tools_write_it(text: str) -> None:
    assert read_code(text) == "sh600000"


def test_six_digits_alone_mean_the_only_exchange_that_has_them() -> None:
    texts = ["600519", "300750", "159915", "510300", "830799", "880301", "000002.SZ", "300750.sz"]
    codes = ("sh600519", "sz300750", "sz159915", "sh510300", "bj830799", "sh880301", "sz000002")
    assert read_codes(texts) == codes


@pytest.mark.parametrize("text", ["999999", "sh999999", "999999.SH", "SHSE.999999", "000001.SH"])
def test_the_vendors_name_of_shanghais_index_is_that_index(text: str) -> None:
    assert read_code(text) == "sh000001"


def test_digits_of_two_exchanges_are_refused_with_both_names() -> None:
    with pytest.raises(UsageError, match=r"000001 .*: sh000001 .* sz000001") as refused:
        read_code("000001")
    assert "sz000001" in refused.value.hint


@pytest.mark.parametrize("text", ["60000", "AAPL", "sh600000.sz", "us600000", "777777", ""])
def test_what_is_no_code_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=f"sh600000: {re.escape(text)}"):
        read_code(text)
