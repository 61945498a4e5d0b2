"""A dry run of a collection: what it would do, before anything is fetched."""
