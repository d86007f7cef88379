"""Days of option chains that are closed: kept as Parquet, and let go."""
