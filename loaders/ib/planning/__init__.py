"""Which tasks a load of option chains has: by the clock, the universe and what is stored."""
