"""Rules of faults are read, counted and documented."""

from pathlib import Path

import pytest

from loaders.errors import UsageError
from loaders.sandbox.ib.faults import KINDS, FaultPlan, parse_rule


def test_rules_are_read_and_counted() -> None:
    plan = FaultPlan(["mute:symbol=AAPL:times=2", "disconnect:after=3"])
    struck = [plan.strike("mute", symbol=s) is not None for s in ("MSFT", "AAPL", "AAPL", "AAPL")]
    assert struck == [False, True, True, False]
    assert [plan.strike("disconnect", met=n) is not None for n in (1, 2, 3, 4)] == [
        *(False, False, True, False),
    ]
    plan.clear()
    assert plan.struck == {"mute": 2, "disconnect": 1}
    assert (
        str(parse_rule("permission:symbol=MSFT:code=10168")) == "permission:symbol=MSFT:code=10168"
    )
    for text in (
        *("flood", "mute:colour=red", "error", "no-oi:share=2", "permission:delayed=maybe"),
        *("disconnect:after=soon", "latency:seconds=long"),
    ):
        with pytest.raises(UsageError):
            parse_rule(text)


def test_the_page_of_the_sandbox_lists_every_fault_with_its_defaults() -> None:
    page = (Path(__file__).parents[3] / "docs" / "how-to" / "sandbox-ib.md").read_text("utf-8")
    for name, kind in KINDS.items():
        options = " ".join(f"`{key}={value}`" for key, value in kind.options.items())
        assert f"| `{name}` | {kind.text} | {options} |" in page
