"""Landing in tables of plain PostgreSQL, and what other editions replace of it."""
