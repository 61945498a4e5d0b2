"""The store's nouns: artifacts and their files, parts, amendments, references, leases and statuses;
garbage collection; verification."""
