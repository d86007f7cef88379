"""China A shares, funds and indices by TDX.

Data come from several places:
- A TDX HTTP service (tdx.base_url) in front of a TDX quote server: codes, calendar, bars, ticks and
  quotes. Its forward-adjusted days, those of stock-info included, come from a third-party page and
  are evidence, never truth.
- The quote servers themselves (tdx.servers), in place of the service and by its routes.
- The folder of the TDX desktop client (tdx.client), in place of the service or before it: day and
  minute bars, code lists, sectors, and corporate actions in the file gbbq.
- Corporate actions also come from CSV files or from quote servers (xdxr).
Rows land in schema raw_tdx in the source's own units: li (0.001 yuan); hands (100 shares) from the
service, shares from files.

source.py: the flow of the data · client/: the service · servers/: the quote servers
files/: the client's files and CSV
bars/: plausible bars and ticks · datasets/: one module each · plan.py: the tasks of a load
"""
