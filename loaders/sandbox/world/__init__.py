"""A synthetic stock market, its corporate actions, and the clock of a sandbox."""
