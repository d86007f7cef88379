"""The console: an HTTP API, and pages over it, for people who never type commands.

Each call is the function behind a command, named beside it. `app.py` puts the routes together,
`security.py` guards all of them, `access.py` keeps the secrets of that, `serve.py` listens. Long
work is a process of its own (`processes.py`), the same command as in a terminal: it outlives the
server, which keeps nothing in memory that a restart would lose. Routes of the API are in `api/`,
pages in `pages/`, their words in `pages/zh.json`.

It needs the extra `console`; nothing else imports what that brings.
"""
