"""What the warehouse refuses its role, as an error with the grant that is missing."""

import re

from loaders.errors import SettingsError, sqlstate, walk_causes
from loaders.settings import Settings

DENIED, READ_ONLY = "42501", "25006"  # PostgreSQL's codes of errors
_GRANTS = {
    "schema": "usage, create on schema",
    "sequence": "usage on sequence",
    "database": "create on database",
    "function": "execute on function",
}
_KIND = r"materialized view|foreign table|\w+"


def explain_refusal(error: BaseException, settings: Settings | None) -> SettingsError | None:
    """The refusal among the causes of an error, if any."""
    refusals = (c for c in walk_causes(error) if sqlstate(c) in (DENIED, READ_ONLY))
    if (cause := next(refusals, None)) is None:
        return None
    reason, role = str(cause).strip().partition("\n")[0], _role(settings)
    if sqlstate(cause) == READ_ONLY:
        return SettingsError(
            f"the warehouse takes no writes: {reason}",
            hint="name the primary server in QUOTEMILL_WAREHOUSE_URL, or: "
            f"alter role {role} reset default_transaction_read_only",
        )
    match = re.search(rf"permission denied for ({_KIND}) ([\w.]+)", reason)
    if match is None:  # such as: must be owner of table kline_daily
        grant = f"grant the owner's role to {role}"
    else:
        kind, name = match.groups()
        grant = f"grant {_GRANTS.get(kind, 'select on')} {name} to {role}"
        if kind not in _GRANTS and "." not in name:
            grant += f" (name the {kind} with its schema)"
    return SettingsError(
        f"the role {role} may not do this in the warehouse: {reason}",
        hint=f"as the owner: {grant}; loads and builds need the role that made the tables, and "
        "`quotemill doctor` lists what it lacks",
    )


def _role(settings: Settings | None) -> str:
    if settings is None or settings.warehouse_url is None:
        return "current_user"
    from psycopg.conninfo import conninfo_to_dict

    url = settings.warehouse_url.get_secret_value()
    return str(conninfo_to_dict(url).get("user") or "current_user")
