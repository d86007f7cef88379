"""The check whether a load has anything to do.

It has nothing to do on a day without a session, once the last session was loaded whole.
"""

import json
from datetime import datetime

import psycopg

from loaders import sources
from loaders.engine.request import LoadRequest
from loaders.settings import Settings
from loaders.warehouse.postgres import find_warehouse
from quotemill.errors import QuotemillError
from quotemill.warehouse.schemas import has_relation

# whether a job, or its retry, loaded all that a part of a run asks for, as of that time or later
_LOADED = """
    select exists (
        select 1 from ops.ingestion_jobs
        where source = %(source)s and status = 'succeeded' and as_of >= %(since)s
            and parameters @> %(parameters)s::jsonb
    )
"""


def nothing_to_do(settings: Settings, request: LoadRequest, as_of: datetime | None) -> str | None:
    """The reason why a load would find nothing as of a time (None: now).

    None if it might find something, or if that is not known: then the load decides.
    """
    source = sources.find(request.source)
    try:
        now = as_of or source.requests.now(settings)
        since = source.requests.rests_since(settings, now)
        warehouse = find_warehouse(settings) if since is not None else None
        if since is None or warehouse is None:
            return None
        parts = source.requests.parts(settings, request, as_of)

        def is_whole(conn: psycopg.Connection) -> bool:
            return has_relation(conn, "ops.ingestion_jobs") and all(
                _was_loaded(conn, part, since) for part in parts
            )

        if not warehouse.ask(is_whole, patient=False) or source.insight.due(settings, warehouse):
            return None
    except QuotemillError:
        return None
    return f"nothing to do: no session today, and {since:%Y-%m-%d} is fully loaded"


def _was_loaded(conn: psycopg.Connection, part: LoadRequest, since: datetime) -> bool:
    parameters = {
        name: value
        for name, value in part.parameters().items()
        if name in ("mode", "datasets", "keys", "since", "until", "options")
    }
    values = {"source": part.source, "since": since, "parameters": json.dumps(parameters)}
    [(was_loaded,)] = conn.execute(_LOADED, values)
    return bool(was_loaded)
