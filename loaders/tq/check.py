"""The check before a load: the servers answer, and let the account in."""

import tempfile
from datetime import datetime
from pathlib import Path

from loaders.engine.check import Check, describe_service
from loaders.settings import Settings
from loaders.tq.client.harvest import Harvest
from loaders.tq.request import check_client
from loaders.tq.tick_days.recent_ticks import HISTORY, LACKING, NEWEST


def check(settings: Settings, _: datetime) -> Check:
    """Log in, and ask for the contracts of the varieties.

    Raises SettingsError, or UpstreamError with the fix as its hint.
    """
    check_client(settings)
    tq = settings.tq.model_copy(update={"wait": 0.0})  # a check says at once that they are away
    with tempfile.TemporaryDirectory() as folder, Harvest(tq, Path(folder) / "check") as harvest:
        harvest.login()
        answer, history = harvest.instruments(tq.varieties), harvest.may(HISTORY)
    counts = {v: sum(row["variety"] == v for row in answer.contracts) for v in tq.varieties}
    contracts = ", ".join(f"{count} contracts of {variety}" for variety, count in counts.items())
    newest = {variety: answer.seen_at.get(variety) for variety in tq.varieties}
    warnings = [f"no quote of {variety}" for variety, at in newest.items() if at is None]
    if not history:
        warnings.append(
            f"{LACKING}: only the newest {NEWEST:,} ticks of a contract land; "
            "the rest needs no permission"
        )
    detail = {"contracts": counts, "newest_quote": newest, "history_of_ticks": history}
    return describe_service(
        f"the futures servers let the account in; {contracts}", warnings, detail
    )
