"""Plumbing of every simulated service: its life, its ports, the port that steers it."""
