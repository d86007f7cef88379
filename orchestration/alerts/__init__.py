"""Alerts: report each problem once, and once more when it is over.

causes.py evaluates what is wrong, book.py stores what was sent and decides what to send next,
channels.py sends it, check.py does all three.
"""

from orchestration.alerts.check import CheckResult, check_and_notify

__all__ = ["CheckResult", "check_and_notify"]
