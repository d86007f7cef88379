"""Requests over HTTP, and how many of them were made."""
