"""What a collection would do, before anything is asked for."""
