"""The warehouse as readers reach it: its address, connections to it, its schemas."""
