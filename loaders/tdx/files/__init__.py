"""Readers of local files: the desktop client's, and CSV of corporate actions."""
