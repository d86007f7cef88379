"""Is the service there, and does it let the account in? For people to ask before a load."""

import tempfile
from datetime import datetime
from pathlib import Path

from loaders.engine.source import Checked
from loaders.settings import Settings
from loaders.tq.client.harvest import Harvest
from loaders.tq.request import check_client
from loaders.tq.tick_days.recent_ticks import HISTORY, LACKING, NEWEST


def check(settings: Settings, _: datetime) -> Checked:
    """Log in, and ask for the contracts of the varieties.

    Raises SettingsError, or UpstreamError with the mend as its hint.
    """
    check_client(settings)
    tq = settings.tq
    with tempfile.TemporaryDirectory() as folder, Harvest(tq, Path(folder) / "check") as harvest:
        harvest.login()
        found, history = harvest.instruments(tq.varieties), harvest.may(HISTORY)
    counts = {v: sum(row["variety"] == v for row in found.contracts) for v in tq.varieties}
    told = ", ".join(f"{count} contracts of {variety}" for variety, count in counts.items())
    seen = {variety: found.seen_at.get(variety) for variety in tq.varieties}
    warnings = [f"no quote of {variety} is there" for variety, at in seen.items() if at is None]
    if not history:
        warnings.append(
            f"{LACKING}: of ticks only the newest {NEWEST:,} of a contract land, all else as for any account"
        )
    return Checked(
        f"the futures servers let the account in; {told}",
        tuple(warnings),
        {
            "contracts": counts,
            "newest_quote": seen,
            "history_of_ticks": history,
        },
    )
