"""`quotemill report`: how things stand on one page of HTML that needs no server and no other file.

coverage*.py ask what is there of what was wanted, as grids (grid.py), runs.py what ran, space.py what it takes; gather.py puts
it together, drawing.py makes pictures of it, page.py the page.
"""
