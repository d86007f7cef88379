"""The schedule: jobs, when each is due, its ledger, and what starts it."""
