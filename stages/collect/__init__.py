"""collect: URL tables, folders and tars in; original bytes, a table of images and a table of rejects out."""
