"""Captures of quotes: batches of contracts, quality flags, the rows that land."""
