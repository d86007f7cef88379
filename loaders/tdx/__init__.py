"""The TDX HTTP service: client, checks and datasets."""
