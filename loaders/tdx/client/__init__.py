"""Client of the TDX HTTP service: requests and checked answers; knows no dataset."""
