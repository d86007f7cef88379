"""What a load leaves behind when its warehouse goes or refuses rows."""

from collections.abc import Callable, Iterator
from datetime import date

import psycopg
import pytest

from loaders.landing import load_job
from loaders.landing.load_job import UpsertCopyJob
from loaders.warehouse.tables import Batch
from quotemill.errors import QuotemillError, UpstreamError
from tests.integration.landing.test_dlt_hooks import DAY, PRICE, REFUSED, Shore, prices


def test_a_package_left_behind_lands_before_anything_else(
    shore: Shore, fail_in_job: Callable[[Exception], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    shore.land(Batch(prices({"sh600000": 1}), None, {"sh600000": str(date(2024, 6, 27))}))
    with monkeypatch.context() as patch:
        original = UpsertCopyJob._land
        patch.setattr(UpsertCopyJob, "_land", original)
        fail_in_job(psycopg.OperationalError("the server closed the connection"))
        with pytest.raises(UpstreamError, match="lost the warehouse"):
            shore.land(Batch(prices({"sh600000": 2}), None, {"sh600000": str(DAY)}))
    monkeypatch.undo()
    assert shore.closes() == {"sh600000": 1}

    _, pending = shore.open()

    assert (pending.new, pending.changed) == (0, 1)
    assert shore.closes() == {"sh600000": 2}
    assert shore.cursor() == {"sh600000": str(DAY)}


def test_rows_that_the_warehouse_refuses_leave_their_cursors(
    shore: Shore, fail_in_job: Callable[[Exception], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    shore.land(Batch(prices({"sh600000": 1}), None, {"sh600000": str(date(2024, 6, 27))}))
    fail_in_job(psycopg.errors.NumericValueOutOfRange("too large"))
    with pytest.raises(Exception, match="too large"):
        shore.land(Batch(prices({"sh600000": 2}), None, {"sh600000": str(DAY)}))
    monkeypatch.undo()

    assert shore.cursor() == {"sh600000": str(date(2024, 6, 27))}
    assert shore.closes() == {"sh600000": 1}
    shore.land(Batch(prices({"sh600000": 2}), None, {"sh600000": str(DAY)}))
    assert shore.closes() == {"sh600000": 2}


def test_an_error_while_rows_are_fetched_keeps_its_own_class(shore: Shore) -> None:
    def batches() -> Iterator[Batch]:
        yield Batch(prices({"sh600000": 1}), None, {"sh600000": str(DAY)})
        raise QuotemillError("the source said no")

    pipeline, _ = shore.open()
    with pytest.raises(QuotemillError, match="the source said no"):
        load_job.land(pipeline, shore.warehouse, "tdx", PRICE, batches(), REFUSED)

    assert shore.closes() == {}
    assert shore.cursor() == {}
