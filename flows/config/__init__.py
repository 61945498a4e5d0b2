"""Configs as files: read, written for the first time, named."""
