"""Stages of the nightly run: load, build, findings, metrics, manifest.

orchestration/nightly.py runs them as one recorded run, then archives, sends alerts and reports.
"""
