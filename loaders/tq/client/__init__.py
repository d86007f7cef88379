"""The futures servers.

`harvest` puts questions to processes (`process`) of the program in `program/`, the only one that
imports tqsdk, and returns plain values (`answers`).
"""
