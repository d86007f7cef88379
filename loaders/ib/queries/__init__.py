"""What the warehouse knows of option chains: queries of what has landed and of the loads."""
