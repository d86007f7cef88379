"""Ticks recorded while they come, for accounts without their history.

stretch.py    until when to record, and whose sessions
silence.py    contracts without ticks in their session
recorder.py   record a stretch into files
recorded.py   the files of a contract: its ticks, and which of them are missing
reconcile.py  compare recorded ticks with those of a load, and delete those that landed
"""
