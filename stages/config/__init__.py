"""What can be chosen: frozen dataclasses, one for each stage."""
