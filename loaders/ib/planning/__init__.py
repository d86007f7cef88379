"""The tasks, what is due at a time, what a slot takes of the rates, and how a load goes on."""
