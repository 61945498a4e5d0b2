"""The store's nouns: artifacts and their files, parts, amendments, references, leases; garbage collection, verification."""
