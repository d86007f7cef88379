"""What a table of another edition of PostgreSQL needs of a load that a plain one does not."""
