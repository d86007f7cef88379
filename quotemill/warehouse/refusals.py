"""Refusals of the warehouse to its role, as an error. `quotemill doctor` lists missing grants."""

import re

from quotemill.errors import SettingsError, sqlstate, walk_causes
from quotemill.settings.model import TopSettings

DENIED, READ_ONLY, CANCELLED = "42501", "25006", "57014"  # PostgreSQL's codes of errors
_PLAIN = re.compile(r"[a-z_][a-z0-9_]*")  # a role's name that needs no quotes


def explain_refusal(error: BaseException, settings: TopSettings | None) -> SettingsError | None:
    """The refusal among the causes of an error, if any."""
    refusals = (c for c in walk_causes(error) if sqlstate(c) in (DENIED, READ_ONLY, CANCELLED))
    if (cause := next(refusals, None)) is None:
        return None
    url = settings.warehouse_url.get_secret_value() if settings and settings.warehouse_url else None
    reason, role = str(cause).strip().partition("\n")[0], _role(url)
    if sqlstate(cause) == CANCELLED:
        return SettingsError(f"the warehouse cancelled the work: {reason}", hint="Run again.")
    if sqlstate(cause) == READ_ONLY:
        return SettingsError(
            f"the warehouse is read-only: {reason}",
            hint="Set QUOTEMILL_WAREHOUSE_URL to the primary server, or run: "
            f"alter role {role} set default_transaction_read_only = off.",
        )
    return SettingsError(
        f"the role {role} may not do this in the warehouse: {reason}",
        hint="Run `quotemill doctor` to list the missing grants, or use the role that created the "
        "tables, as loads and builds must.",
    )


def _role(url: str | None) -> str:
    if url is None:
        return "current_user"
    from psycopg.conninfo import conninfo_to_dict

    return name_role(conninfo_to_dict(url).get("user"))


def name_role(user: object) -> str:
    """A role as statements name it; current_user where an address names none."""
    if not user:
        return "current_user"
    text = str(user)
    return text if _PLAIN.fullmatch(text) else '"' + text.replace('"', '""') + '"'
