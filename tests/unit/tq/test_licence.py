"""The licence in words."""

from datetime import date

from loaders.tq.check import describe_end, describe_licence
from loaders.tq.client.answers import Licence


def test_a_licence_reads_as_free_or_professional_with_its_end() -> None:
    free = Licence(("futr", "lmt_idx"), "free", 27_066, date(2099, 12, 31))
    assert describe_licence(free) == "free licence (free) without an end date"
    paid = Licence(("futr", "tq_dl"), "pro", 12, date(2026, 12, 4))
    assert describe_licence(paid) == "professional licence (pro) until 2026-12-04 (12 days)"
    over = Licence(("futr",), "pro", -3, date(2026, 11, 20))
    assert describe_licence(over) == "free licence (pro) until 2026-11-20 (over)"
    assert describe_end(over).startswith("the licence ended on 2026-11-20,")
    silent = Licence(("futr", "tq_dl"), None, None, None)
    assert "do not show when it ends" in describe_licence(silent)
