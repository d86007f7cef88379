"""Stand-in for the TDX HTTP service, and the desktop client's files.

calls.py            state of the service, and one call of a route
routes.py           a request to its answer: dispatch, faults, envelope
bars.py, quotes.py, intraday.py, lists.py, tasks.py   the routes
series.py           bar series as of a clock
render.py           bars and ticks as JSON
wire.py             query parsing, JSON, codes and texts as the service has them
faults.py           catalogue of faults
row_faults.py       faults inside an answer
replay.py           a market from recorded files
client_files.py, vipdoc_files.py   the desktop client's files of a market
quote_server.py     a public quote server; what it answers for a market, and that as bytes:
quote_answers.py, quote_wire.py
http_handler.py     HTTP/1.1 as the service speaks it
service.py          TdxSandbox
"""
