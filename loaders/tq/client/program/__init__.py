"""The program that runs the futures client, in a process of its own.

Started by `process.py`, never imported by the rest of ours.

It speaks lines of JSON. First line in: account, password and addresses. Then requests `{"call":
name, "args": {...}}`, one at a time. Out, for each: any number of `{"progress": text}` and
`{"item": {...}}`, then one `{"result": ...}` or `{"error": {"kind", "message", "symbols"}}`. Days
are ISO texts, times nanoseconds since 1970 UTC. When the input ends, because its parent asked or
died, the program ends at once, whatever it is doing.

Why a process: the client holds tables, calendars and every tick in memory for good, caches ticks in
the home directory and never compares them again, and cannot be used after an error. Home and
working directory belong to this process alone; the tick cache is emptied after each day, otherwise
a day without ticks would answer with a row of another day.

    __main__.py      reads requests, writes answers
    session.py       log-in, connections and internals of the client: the one module that imports it
    instruments.py   contracts and trading hours       ticks.py   days of ticks, the newest ticks
    mains.py         main contracts, by two routes     bars.py    days of contracts
    live.py          ticks of the running session
    failure.py       the meaning of the client's bare exceptions
"""
