"""Protocol-true stand-ins for the outside systems: a market, its services, and their faults."""
