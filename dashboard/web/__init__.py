"""HTTP: the server, who may ask, forms, and a page as a single file."""
