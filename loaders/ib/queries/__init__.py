"""Queries of option chains in the warehouse: of landed rows and of loads."""
