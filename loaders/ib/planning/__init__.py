"""What is due at a time, the plan of a load, what fits a slot, and the execution."""
