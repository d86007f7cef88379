"""`quotemill report`: the state of everything on one HTML page.

The page needs no server and no other file. coverage.py reads, as grids (grid.py), how much of the
wanted data is there; runs.py reads what ran, space.py what is stored. gather.py combines these,
drawing.py draws the pictures, page.py writes the page.
"""
