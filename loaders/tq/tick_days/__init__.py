"""Ticks of scheduled contract-days: the plan, the fetch, the tick store's index."""
