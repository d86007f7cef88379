"""Requests as the record of a job holds them."""

from datetime import date

import pytest

from loaders.engine.request import LoadRequest, read_request
from quotemill.errors import UsageError


def test_a_request_comes_back_as_it_was_recorded() -> None:
    request = LoadRequest(
        "tq", "init", ("main_events",), ("SHFE.cu2601",), date(2024, 1, 2), None, {"pace": "slow"}
    )
    assert read_request(request.parameters()) == request


def test_a_loss_is_accepted_of_the_named_datasets_alone() -> None:
    named = LoadRequest("tdx", datasets=("kline_daily",), accept_loss=True)
    assert named.accepts_loss_of("kline_daily")
    assert not named.accepts_loss_of("codes")
    assert not LoadRequest("tdx", accept_loss=True).accepts_loss_of("codes")
    assert not LoadRequest("tdx", datasets=("codes",)).accepts_loss_of("codes")
    # a job from before has no such word, and is the same request
    assert "accept_loss" not in LoadRequest("tdx").parameters()
    assert read_request(named.parameters()) == named


def test_a_job_of_another_version_is_refused() -> None:
    with pytest.raises(UsageError, match="version"):
        read_request(LoadRequest("tdx").parameters() | {"version": 99})
