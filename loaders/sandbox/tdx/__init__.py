"""Stand-in for the TDX HTTP service: a market made up or replayed from files, its faults, the routes of its
JSON, and the desktop client's files."""
