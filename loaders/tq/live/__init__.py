"""Ticks recorded while they come, for accounts without their history.

stretch.py    until when to record, and whose sessions
silence.py    contracts without ticks in their session
recorder.py   record a stretch into files
recorded.py   the files of a contract: its ticks, and which of them are missing
recent.py     days of recorded ticks, as a load of ticks takes and deletes them
"""
