"""US option chains by Interactive Brokers, from a gateway or TWS that the user runs.

The library ib_async (or ib_insync) speaks its protocol over a local socket; nothing here logs in or
trades. Contracts of a session, half-hourly snapshots of quotes and greeks, the close, and the open
interest of the next morning land in schema raw_ib. What was not captured in time cannot be had
later, so errors are rows too.

source.py: the way of the data · settings.py, tables.py, operations.py, coverage.py
slots.py: sessions
client/: the gateway · datasets/: one per table · contracts/: what exists · capture/: quotes to rows
planning/: what is due, and the plan of a load · queries/: what the warehouse knows
"""
