"""The store's nouns: artifacts and their files, parts, amendments, references and leases; garbage
collection; verification."""
