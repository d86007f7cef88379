"""Settings of earlier versions: found in a file or a variable they are left out, not refused."""

# without one of these the account's password would go to other servers: they are refused
ADDRESSES = ("tq.auth_url", "tq.md_url", "tq.holiday_url", "tq.cont_table_url", "tq.settlement_url")
# what to do instead, if there is anything
REMOVED = {
    "pool_size": "",
    "max_overflow": "",
    "tdx.bulk_timeout": "raise tdx.timeout: bulk requests get three times as long",
    "tq.connect_timeout": "",
    "tq.recheck_after": "",
    "tq.settle_margin": "",
    **dict.fromkeys(ADDRESSES, "set tq.sandbox to the address of `loaders sandbox tq`"),
    "ib.client_id_pool": "set ib.client_id: the next four numbers are tried too",
    "ib.connect_timeout": "",
    "ib.qualify_batch_size": "",
    "ib.slot_grace_seconds": "",
    "ib.midday_refresh_enabled": "set ib.midday_refresh_time to a time, or leave it empty",
    "ib.open_interest_published_at": "",
    "ib.history_probe": "",
    "ib.rate_limits.open_interest.per_minute": "set ib.rate_limits.snapshot.per_minute",
    "ib.error_log_retain_days": "set log_days",
    "ib.weekly_compaction_enabled": 'set schedule.ib_archive.command = "archive --no-compact"',
    "ib.same_day_compaction_enabled": 'set schedule.ib_archive.command = "archive --compact"',
    "ib.target_file_size_mb": "",
    "alerts.timeout": "",
    "questdb.min_free_gb": "",
}


def explain_removed(dotted: str, place: str) -> str:
    """The line for people about a removed setting that a place still has."""
    instead = REMOVED[dotted]
    return f"{dotted} is no longer a setting: remove it from {place}" + (
        f" ({instead})" if instead else ""
    )
