"""Conditions beside the caption, each with presence: what a row lacks is learned without it."""
