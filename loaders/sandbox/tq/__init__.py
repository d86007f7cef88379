"""Stand-in for the servers of TqSdk: a futures market, faults, DIFF protocol.

varieties.py     varieties and their sessions
exchange.py      calendar, contracts, sessions of any market
world.py         synthetic market: open interest, main contracts, ticks (no clock)
replay.py        a market from recorded files
faults.py        catalogue of faults
market.py        the market as of a clock and under faults
instruments.py   answers about instruments
session.py       one market-data connection: messages in, packets out
service.py       TqSandbox: HTTP and WebSocket
"""
