"""A polite HTTP client: one GET at a time with leave of the site, at its host's pace, to public
addresses only (no SSRF)."""
