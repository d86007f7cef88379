"""Closed days of option chains: written to Parquet, and dropped."""
