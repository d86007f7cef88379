"""Orchestration: the sequence of load and build, and the commands a person types."""
