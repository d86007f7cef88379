"""Ticks of scheduled contract-days.

schedule        the schedule that dbt builds
records         the store's own records: what is stored, and days without ticks
ledger          their landed copies, for dbt
rules           what is missing, what ticks leave out, which answer is better: pure
plan            the tasks of a load
fetch           answers of several clients        recent_ticks  without the history's permission
conversion      answer → day of the store         batch         days that are written together
no_data_days    days without ticks, or too few
verify, repair, copy, manifest_facts   comparison of what is stored
"""
