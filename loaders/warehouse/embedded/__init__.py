"""The embedded PostgreSQL server of a QUOTEMILL_HOME: made at first use, shared, left running.

It has a Unix socket, in a folder that nobody but its owner can enter, and so trusts anyone who can
connect there. With `server.listen` one more role gets in, at an address of this machine, with a
password, to read (`access.py`). Everything else follows from the data directory: `postmaster.pid`
names the process, the socket's folder and the state, so clients need no file of ours to find the
server, and the kill of any of them, or of the server, leaves nothing that could be wrong.

Root's server runs as a system user (PostgreSQL refuses root). A home that this user cannot reach is
refused: the mode of a directory that we did not create is never changed.
"""
