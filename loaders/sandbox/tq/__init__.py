"""Stand-in for the servers of TqSdk: a futures market, its faults, the DIFF protocol, the HTTP around it.

varieties.py, world.py   the market: contracts, sessions, main contracts, ticks (pure, no clock)
replay.py                the same of recorded files
faults.py                what shall go wrong, as data
market.py                the world as of a clock and under faults: what the servers would show
instruments.py           answers to questions about instruments
session.py               one market-data connection: messages in, messages out
service.py               HTTP, WebSocket and control port; TqSandbox
"""
