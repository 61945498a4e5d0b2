"""Rows for people: pages of a table, search, and the story of one picture."""
