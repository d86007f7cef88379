"""Client of the TDX HTTP service: requests and checked answers.

It does not know the datasets.
"""
