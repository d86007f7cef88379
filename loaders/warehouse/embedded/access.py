"""Who may connect to a server that listens at an address of this machine."""

READER = "quotemill_reader"
FILE = "quotemill_hba.conf"
RULES = f"""\
# written by quotemill at each start with server.listen; pg_hba.conf, which comes after, is yours
host postgres {READER} 127.0.0.0/8 scram-sha-256
host postgres {READER} ::1/128 scram-sha-256
host all all all reject
host replication all all reject
include pg_hba.conf
"""
