"""The check before a load: log-in, licence and contracts."""

import tempfile
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from loaders.check import Check, describe_service
from loaders.settings import Settings
from loaders.tq.client.answers import Licence
from loaders.tq.client.harvest import Harvest
from loaders.tq.request import check_client
from loaders.tq.tick_days.recent_ticks import HISTORY, LACKING, NEWEST
from loaders.trading_time import SHANGHAI
from quotemill.wording import say_count

ENDS_SOON = 14  # days
ENDLESS = 2099  # year in which the vendor lets free accounts end


def check(settings: Settings, now: datetime) -> Check:
    """Log in, and ask for the licence and the contracts of the varieties.

    Raises SettingsError, or UpstreamError with the fix as its hint.
    """
    check_client(settings)
    tq = settings.tq.model_copy(update={"wait": 0.0})  # a check says at once that they are away
    today = now.astimezone(SHANGHAI).date()
    with tempfile.TemporaryDirectory() as folder, Harvest(tq, Path(folder) / "check") as harvest:
        harvest.login()
        answer, licence = harvest.instruments(tq.varieties), harvest.licence()
    if licence.ends and licence.days_left is None:
        licence = replace(licence, days_left=(licence.ends - today).days)
    counts = {v: sum(row["variety"] == v for row in answer.contracts) for v in tq.varieties}
    contracts = ", ".join(
        f"{say_count(count, 'contract')} of {variety}" for variety, count in counts.items()
    )
    newest = {variety: answer.seen_at.get(variety) for variety in tq.varieties}
    warnings = [f"no quotes for {variety}" for variety, at in newest.items() if at is None]
    parts = [f"the futures servers accept the account; {contracts}", describe_licence(licence)]
    history = HISTORY in licence.features
    if not history:
        warnings.append(
            f"{LACKING}. Only the latest {NEWEST:,} ticks of each contract are loaded, "
            "plus ticks recorded by `loaders run tq --mode live`. Everything else works "
            "without this permission"
        )
    if licence.days_left is not None and licence.days_left <= ENDS_SOON:
        warnings.append(f"{describe_end(licence)}; renew it at https://account.shinnytech.com")
    detail = {
        "contracts": counts,
        "newest_quote": newest,
        "history_of_ticks": history,
        "features": licence.features,
        "account_type": licence.account_type,
        "licence_ends": licence.ends,
        "licence_days_left": licence.days_left,
    }
    return describe_service("; ".join(parts), warnings, detail)


def describe_licence(licence: Licence) -> str:
    """The licence in a few words; the type of account is the vendor's own name."""
    edition = "professional" if HISTORY in licence.features else "free"
    if licence.ends is None or licence.days_left is None:
        return f"{edition} licence (the servers do not show when it ends)"
    ends = "without an end date"
    if licence.ends.year < ENDLESS:
        left = say_count(licence.days_left, "day") if licence.days_left >= 0 else "over"
        ends = f"until {licence.ends} ({left})"
    named = f" ({licence.account_type})" if licence.account_type else ""
    return f"{edition} licence{named} {ends}"


def describe_end(licence: Licence) -> str:
    """The end of a licence, which may be over."""
    if licence.days_left is not None and licence.days_left < 0:
        return f"the licence ended on {licence.ends}, so the data it covers is no longer available"
    return (
        f"the licence ends on {licence.ends}, in {licence.days_left} days, and so does "
        "access to the data it covers"
    )
