"""Copies of tables and queries as files of other programs, which follow corrections.

    rows as of one moment ▶ a file per month or code, unfinished ▶ all are renamed ▶ manifest.json

The folder is the whole ledger of an export: its manifest says up to which change of the feed the
files are. The same command into the same folder writes what changed since.
"""
