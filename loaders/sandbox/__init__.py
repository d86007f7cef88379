"""Protocol-true stand-ins for the outside systems, their markets and faults."""
