"""Files that are read beside the service: the desktop client's, and CSV of corporate actions."""
