"""Retention: which versions of a dataset stay."""

from collections.abc import Iterator
from dataclasses import dataclass

from sdmodel.config.limits import Amount, Config, Mistake


@dataclass(frozen=True, kw_only=True)
class RetainConfig(Config):
    """Which versions of a dataset stay in the store; the others, with what they alone were made of, are
    dropped after each refresh. Their names stay with the models that learned from them."""

    last: Amount = 0
    """Newest versions that stay; 0 keeps every version."""
    monthly: Amount = 0
    """Months, back from now, of each of which the newest version stays, besides the last ones."""

    def conflicts(self) -> Iterator[Mistake]:
        """Months without a newest version."""
        if self.monthly and not self.last:
            yield self.mistake(
                "0 keeps every version; say how many of the newest stay, 1 or more", "last", "monthly"
            )
