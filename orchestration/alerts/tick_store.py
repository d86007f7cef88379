"""Find tables of QuestDB that apply no writes."""

from contextlib import closing

from loaders.settings import Settings
from loaders.ticks import store_state
from orchestration.alerts.book import Cause, Verdicts
from quotemill.errors import QuotemillError


def check_tick_store(settings: Settings) -> Verdicts:
    """Verdict on suspended tables; none where the store is away, as its loads say so."""
    if not store_state.is_used(settings):
        return {}
    from loaders.ticks.open_store import open_store  # imports pyarrow

    try:
        with closing(open_store(settings)) as store:
            suspended = store.suspended()
    except QuotemillError:
        return {}
    text = (
        f"{'; '.join(suspended.values())}; no tick is loaded meanwhile; fix: `quotemill questdb "
        "resume`; if its log is damaged `quotemill questdb resume --skip`, then "
        "`loaders verify tq --repair`"
    )
    cause = Cause("error", text, "quotemill doctor", " ".join(suspended))
    return {"tick_store": cause if suspended else None}
