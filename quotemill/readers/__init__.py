"""Tables for readers as Arrow: prices, main contracts, option chains.

Thin functions over one connection: they choose the table and the rows, and compute nothing. What is
not there is a UsageError that names what is.
"""
