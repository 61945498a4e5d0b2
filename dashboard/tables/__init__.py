"""Tables of artifacts as rows that can be asked for: an index of them, filters, and the database."""
