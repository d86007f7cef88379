"""The 31 checks of the TDX service: each route once, with a verdict and the evidence for it."""
