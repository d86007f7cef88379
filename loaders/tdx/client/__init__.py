"""The TDX HTTP service: what it is asked, and what its answers are. Knows nothing of datasets."""
