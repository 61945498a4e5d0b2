"""The kinds of artifacts, a file each: where pictures lie in them, what a trace says of a row. See
`stages.kind`."""
