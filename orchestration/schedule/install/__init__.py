"""Files that let a system start the jobs: a unit of systemd, a line of crontab, a launchd agent.

They keep `quotemill schedule serve` alive, or check each minute; what starts is decided by
ops.schedules, so one check too many starts nothing.
"""
