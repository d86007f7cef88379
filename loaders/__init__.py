"""Loaders: fetch from one outside system each, and land its rows as they are into PostgreSQL."""
