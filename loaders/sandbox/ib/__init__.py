"""Stand-in for an IB Gateway: stocks and their options, faults, wire protocol.

hours.py           sessions of NYSE, and the clock
stocks.py          the stocks of the market
indices.py         indices, and the classes of their options
splits.py          splits of stocks
dividends.py       dividends of stocks
listing.py         listed contracts and their numbers
option_prices.py   volatility surface, Black-Scholes, early exercise
world.py           prices, quotes, open interest: functions of seed, contract and time
faults.py          catalogue of faults
market_data.py     what is served by clock, permission and faults
wire.py            length-prefixed fields, message texts
session.py         one connection: log-in, limit of messages, answers
contracts.py       contract details, option parameters, historical bars
subscriptions.py   streams and snapshots of market data
service.py         IbSandbox: the listening socket, notices, restarts
"""
