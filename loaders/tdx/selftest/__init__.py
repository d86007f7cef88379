"""The 31 checks of the TDX service: each route once, with verdict and evidence."""
