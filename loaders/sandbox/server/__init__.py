"""Plumbing of every simulated service: start and stop, ports, control port."""
