"""The PostgreSQL warehouse: where it is, what in it is ours, and how rows reach it."""
