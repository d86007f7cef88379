"""Checks behind doctor, status, self-check, reconcile and log scan.

Their type and runner are in loaders.check, because sources have checks too; their printer is
loaders.cli.checks.
"""
