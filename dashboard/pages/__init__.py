"""Pages, a module each: a `router` with its addresses, and what its template gets."""
