"""collect: URL tables, folders and tars in; original bytes, a table of images and a table of rejects out."""

from stages.collect.collect import collect
from stages.collect.edition import note_of, previous_of
from stages.collect.files import snapshot

__all__ = ["collect", "note_of", "previous_of", "snapshot"]
