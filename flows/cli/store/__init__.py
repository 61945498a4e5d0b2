"""Commands about a store."""
