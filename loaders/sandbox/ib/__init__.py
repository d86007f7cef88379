"""Stand-in for an IB Gateway: a market of stocks and their options, its faults, the wire protocol.

hours.py       sessions of NYSE, and the clock
stocks.py      the stocks that there are
surface.py     volatility surface and Black-Scholes
listing.py     which contracts are listed, and their numbers
world.py       prices, quotes, open interest: functions of seed, contract and time
faults.py      what shall go wrong, as data
desk.py        what is served: entitlements, data types, ticks, under faults
wire.py        length-prefixed fields
session.py     one connection: log-in, pacing, messages
reference.py   contracts, option parameters, history
feed.py        market data lines
service.py     the listening socket and its life; IbSandbox
control.py     the port that steers it
"""
