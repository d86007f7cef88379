"""How rows reach PostgreSQL: dlt's load job, the upsert, refused rows, cursors, the change feed."""
