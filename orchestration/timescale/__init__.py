"""Conversion of plain tables to hypertables and back."""
