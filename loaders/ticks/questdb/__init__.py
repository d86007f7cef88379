"""The tick store in QuestDB, and the QuestDB server of a home."""
