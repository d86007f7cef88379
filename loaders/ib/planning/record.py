"""How far loads have come, and what discovery failed on, asked of the record in schema `ops`."""

from datetime import date, datetime

import psycopg

from loaders.warehouse.ownership import has_relation

REMEMBERED_JOBS = 20


def last_done(conn: psycopg.Connection, dataset: str) -> dict[str, str]:
    """How far each symbol has come in a dataset; nothing before the first load."""
    if not has_relation(conn, "ops.ingestion_state"):
        return {}
    return dict(
        conn.execute(
            "select key, cursor from ops.ingestion_state where source = 'ib' and dataset = %s",
            (dataset,),
        ).fetchall()
    )


def was_cut_off(conn: psycopg.Connection, lane: str, slot: str) -> bool:
    """Did a load of a slot, by its name, end without a word? One that is still at it looks the same, and holds the
    lane. Never before the first load."""
    if not has_relation(conn, "ops.ingestion_jobs"):
        return False
    row = conn.execute(
        "select exists (select 1 from ops.ingestion_jobs where source = 'ib' and lane = %s "
        "and parameters #>> '{options,slots}' = %s and status in ('running', 'interrupted'))",
        (lane, slot),
    ).fetchone()
    return row == (True,)


def failed_discoveries(conn: psycopg.Connection, day: date, lane: str) -> dict[str, datetime]:
    """When each symbol was last looked for in vain on a day by the clock, of which it is the moment; nothing
    before the first load."""
    if not has_relation(conn, "ops.ingestion_jobs"):
        return {}
    rows = conn.execute(
        """
        select f.symbol, max((j.parameters #>> '{options,at}')::timestamptz)
        from ops.ingestion_jobs as j
        inner join ops.ingestion_job_tasks as t using (job_id)
        cross join lateral jsonb_each_text(t.failures) as f (symbol, reason)
        where j.source = 'ib' and j.lane = %s and j.parameters #>> '{options,date}' = %s
            and j.parameters #>> '{options,at}' is not null
            -- a gateway that went away says nothing of who was not asked any more
            and f.reason is distinct from j.error
        group by f.symbol
        """,
        (lane, f"{day}"),
    )
    return dict(rows.fetchall())


def looked_for_in_vain(conn: psycopg.Connection, lane: str) -> set[str]:
    """The symbols that discovery failed on itself when it failed last, and not because the gateway was given up."""
    rows = conn.execute(
        """
        with lately as (
            select job_id, error
            from ops.ingestion_jobs
            where source = 'ib' and lane = %s and status <> 'running'
            order by job_id desc
            limit %s
        ),

        failures as (
            -- who was not asked any more failed for the reason that ended the job
            select f.key as symbol, job_id, bool_or(f.value is distinct from error) as is_own
            from lately
            inner join ops.ingestion_job_tasks as t using (job_id)
            cross join lateral jsonb_each_text(t.failures) as f
            where t.dataset in ('underlying', 'contract')
            group by f.key, job_id
        )

        select symbol
        from (select distinct on (symbol) * from failures order by symbol, job_id desc) as newest
        where is_own
        """,
        (lane, REMEMBERED_JOBS),
    )
    return {symbol for (symbol,) in rows}
