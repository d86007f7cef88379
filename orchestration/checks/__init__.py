"""Checks behind doctor, status, self-check, reconcile and log scan."""
