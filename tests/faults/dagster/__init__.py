"""Runs of Dagster that are killed and cancelled."""
