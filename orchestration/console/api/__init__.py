"""The routes below /api: each calls the function behind a command, and describes its answer."""
