"""A dataset that does not exist: the nearest name, or the command that builds the table."""

import pytest

from loaders.engine.request import unknown_dataset


@pytest.mark.parametrize(
    ("name", "message", "hint"),
    [
        (
            "kline_dialy",
            "unknown dataset: kline_dialy; did you mean kline_daily?",
            "codes",
        ),
        ("xyz", "unknown dataset: xyz", "codes, kline_daily"),
        (
            "kline_daily_qfq",
            "kline_daily_qfq is not loaded, but built from loaded tables",
            "`quotemill build`",
        ),
    ],
)
def test_an_unknown_dataset_leads_to_what_was_meant(name: str, message: str, hint: str) -> None:
    error = unknown_dataset([name], ["codes", "kline_daily"])
    assert str(error) == message
    assert hint in error.hint
