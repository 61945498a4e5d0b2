"""A small world of captioned pictures whose truth is known, served as the web would: full of faults."""
