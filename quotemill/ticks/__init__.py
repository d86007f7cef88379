"""Ticks of futures: their columns, and QuestDB over HTTP."""
