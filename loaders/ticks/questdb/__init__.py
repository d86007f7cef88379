"""The tick store in QuestDB, and a QuestDB server of our own."""
