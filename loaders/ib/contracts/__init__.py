"""Which contracts exist: the universe of symbols, expiries, discovery."""
