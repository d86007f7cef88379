"""The outside system. `gateway.py` is the seam; `ib_client.py` alone imports the client library."""
