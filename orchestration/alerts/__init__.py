"""Alerts: report each problem once, and once more when it is over.

causes.py evaluates what is wrong, book.py stores what was sent and decides what to send next,
channels.py sends it, check.py does all three.

Without code, because the settings import the section of this package.
"""
