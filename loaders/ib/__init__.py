"""US option chains by Interactive Brokers: contracts of a session, half-hourly snapshots, the close, open
interest."""
