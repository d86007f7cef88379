"""What loading one key came to."""

from loaders.engine.outcome import Outcome


def test_an_outcome_is_shown_without_its_rows() -> None:
    shown = repr(Outcome("sh600000", rows=[7] * 10_000, rejected=()))

    # an event loop spells out each task that ends: rows would cost more than reading them
    assert shown.startswith("Outcome(key='sh600000'")
    assert len(shown) < 200
