"""Bars and ticks of TDX: checks, what is due, conversion to rows."""
