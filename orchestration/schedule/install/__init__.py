"""Files that let a system start the jobs: units of systemd, a line of crontab, a launchd agent.

They only say when to check; `quotemill schedule run` decides by ops.schedules, so a timer that
fires once too often starts nothing.
"""
