"""Requests as jobs hold them: of this version, of an older one, of a newer one."""

from datetime import date

import pytest

from loaders.engine.request import LoadRequest, request_of
from loaders.errors import UsageError


def test_a_request_comes_back_as_it_was_recorded() -> None:
    request = LoadRequest(
        "tq", "init", ("main_events",), ("SHFE.cu2601",), date(2024, 1, 2), None, {"pace": "slow"}
    )
    assert request_of(request.parameters()) == request


def test_a_job_that_was_recorded_before_versions_is_still_retryable() -> None:
    recorded = {
        "source": "tdx",
        "mode": "incremental",
        "datasets": ["kline_daily"],
        "codes": ["sh600000"],
        "exchange": None,
        "since": "2024-06-03",
        "until": None,
        "day": None,
    }
    assert request_of(recorded) == LoadRequest(
        "tdx", datasets=("kline_daily",), keys=("sh600000",), since=date(2024, 6, 3)
    )
    of_exchange = request_of(recorded | {"codes": None, "exchange": "sz"})
    assert (of_exchange.keys, of_exchange.options) == (None, {"exchange": "sz"})


def test_a_job_of_a_newer_version_is_refused_in_words() -> None:
    with pytest.raises(UsageError, match="recorded by a newer quotemill"):
        request_of(LoadRequest("tdx").parameters() | {"version": 99})
