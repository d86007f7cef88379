"""Ticks of scheduled contract-days.

schedule        the schedule that dbt builds
ledger          raw_tq.symbol_day: what is complete
backlog         what schedule, ledger and days without data leave to do
plan            the tasks of a load
fetch           answers of several clients        recent_ticks  without the history's permission
conversion      answer → day of the store         completeness  comparison with the day bar
no_data_days    days without ticks              replacement    stored ticks and a new answer
verify, repair, manifest_facts   comparison of what is stored
"""
