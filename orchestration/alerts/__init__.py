"""Telling people what is wrong, once: what was looked at and what of it is wrong (causes), what they were told of
it (book), and how it reaches them (channels). `look` is all of it. `unreadable` tells of settings that cannot be read.
"""

from orchestration.alerts.check import Looked, look

__all__ = ["Looked", "look"]
