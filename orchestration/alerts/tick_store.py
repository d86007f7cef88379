"""Find tables of QuestDB that apply no writes."""

from loaders.settings import Settings
from loaders.ticks import store_state
from orchestration.alerts.book import Cause, Verdicts


def check_tick_store(settings: Settings) -> Verdicts:
    """Verdict on suspended tables; none where the store is away, as its loads say so."""
    if not store_state.is_used(settings):
        return {}
    state = store_state.read_state(settings, None)
    if state.error is not None:
        return {}
    suspended = [check for check in state.checks if check.subject]
    said = "; ".join(f"{check.sentence}; fix: `{check.fix}`" for check in suspended)
    names = " ".join(check.subject for check in suspended)
    cause = Cause("error", said, "quotemill doctor", names)
    return {"tick_store": cause if suspended else None}
