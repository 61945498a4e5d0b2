"""Colours, as configs spell them."""

from typing import Annotated

from sdmodel.config.limits import Pattern

Colour = Annotated[str, Pattern("#[0-9a-fA-F]{6}", 'a colour like "#ffffff" (red, green, blue)')]

WHITE = "#ffffff"
