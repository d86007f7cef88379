"""Bars and ticks of TDX: what makes them plausible, which are due, how they become rows."""
