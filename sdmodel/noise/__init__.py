"""The path between noise and data, and the times on it."""
