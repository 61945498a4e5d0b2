"""The rules of a collection: checked once, given to those who judge, named beside every reason."""

from dataclasses import dataclass, fields

from stages.config.collect import CollectConfig
from stages.image.limits import BYTE_RULES, SIDE_RULES, ImageLimits
from stages.reasons import Reason

_RULES = {
    **{rule.reason: rule.key for rule in (*SIDE_RULES, *BYTE_RULES)},
    Reason.BLANK: "drop_blank",
    Reason.PLACEHOLDER: "placeholder_urls",
    Reason.TIMEOUT: "deadline",
}


@dataclass(frozen=True, kw_only=True)
class Rules(ImageLimits):
    """What a collection keeps to, as in `CollectConfig`: limits of a picture, and of fetching it."""

    placeholder_urls: int
    deadline: float
    """Seconds."""
    retries: int
    """Rounds."""
    patience: float
    """Seconds."""

    @classmethod
    def of(cls, config: CollectConfig) -> "Rules":
        """Those of a config."""
        return cls(**{field.name: getattr(config, field.name) for field in fields(cls)})

    def rule(self, reason: str) -> str:
        """The rule that a reason stands on, as "min_side=16"; "" where it stands on none of these."""
        name = _RULES.get(Reason(reason))
        if name is None:
            return ""
        value = getattr(self, name)
        return f"{name}={str(value).lower() if isinstance(value, bool) else _brief(value)}"


def _brief(number: float) -> str:
    return str(int(number)) if number == int(number) else str(number)
