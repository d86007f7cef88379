"""Copies of tables and queries as files of other programs, which follow corrections.

    rows as of one moment ▶ a file per month or code, renamed when whole ▶ manifest.json, last

`.export.jsonl` names the files that are whole while an export runs; the next one takes up what a
killed one left. What the change feed names since then is written again.
"""
