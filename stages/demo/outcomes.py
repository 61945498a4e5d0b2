"""What should become of each planted defect's rows."""

from dataclasses import dataclass

from stages.reasons import Reason

LEVELS: dict[str, str] = {"exact_copy": "exact", "reencoded_copy": "near", "resized_copy": "near"}
"""Copies of pictures -> the level at which dedup should drop them."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The expected outcome of a row with a planted defect. Without reasons it is collected, as a copy or as a
    picture like others."""

    reasons: tuple[Reason, ...] = ()
    """Any of them will do."""
    rule: str = ""
    """That must have decided; empty: whichever."""
    repair: str = ""
    """Word for what decoding must set right, see `stages.image.REPAIRS`; empty: nothing."""
    copy: str = ""
    """Level at which dedup should find it; empty: it is no copy."""
    selected: bool = False
    """Whether no later stage may refuse it either; else that is not asked of what is held."""

    @property
    def words(self) -> str:
        """The outcome for people."""
        if self.copy:
            return f"held, merged ({self.copy})"
        if self.reasons:
            return " or ".join(map(str, self.reasons)) + (f" ({self.rule})" if self.rule else "")
        if self.selected:
            return "in the dataset"
        return f"held ({self.repair})" if self.repair else "held"

    def shares(self, other: "Outcome") -> bool:
        """Whether one reject could be either's."""
        rules = {self.rule, other.rule}
        return not set(self.reasons).isdisjoint(other.reasons) and (len(rules) == 1 or "" in rules)


OUTCOMES: dict[str, Outcome] = {
    **{name: Outcome(copy=level) for name, level in LEVELS.items()},
    "duplicate_url": Outcome(reasons=(Reason.DUPLICATE_URL,)),
    "not_found": Outcome(reasons=(Reason.HTTP_NOT_FOUND,)),
    "flaky": Outcome(),
    "truncated": Outcome(reasons=(Reason.TRUNCATED, Reason.UNDECODABLE)),
    "html": Outcome(reasons=(Reason.NOT_AN_IMAGE,)),
    "tiny": Outcome(reasons=(Reason.TOO_SMALL, Reason.IMAGE_TOO_SMALL)),
    "swapped_caption": Outcome(reasons=(Reason.LOW_SIMILARITY,)),
    "attribute_caption": Outcome(reasons=(Reason.LOW_SIMILARITY,)),
    "short_caption": Outcome(reasons=(Reason.CAPTION_TOO_SHORT,)),
    "exif": Outcome(repair="oriented"),
    "deep": Outcome(repair="deep"),
    "cmyk": Outcome(repair="cmyk"),
    "redirect": Outcome(),
    "too_many": Outcome(),
    "flapping": Outcome(),
    # A host that drips again and again may be given a rest before the last of its rows is asked for again.
    "drip": Outcome(reasons=(Reason.TIMEOUT, Reason.HOST_SET_ASIDE)),
    "huge": Outcome(reasons=(Reason.TOO_MANY_BYTES,)),
    "redirect_loop": Outcome(reasons=(Reason.TOO_MANY_REDIRECTS,)),
    "redirect_private": Outcome(reasons=(Reason.FORBIDDEN_ADDRESS,)),
    "robots": Outcome(reasons=(Reason.OPTED_OUT,), rule="obey=robots"),
    "x_robots_tag": Outcome(reasons=(Reason.OPTED_OUT,), rule="obey=x-robots-tag"),
    "content_usage": Outcome(reasons=(Reason.OPTED_OUT,), rule="obey=aipref"),
    "tdm": Outcome(reasons=(Reason.OPTED_OUT,), rule="obey=tdmrep"),
    "placeholder": Outcome(reasons=(Reason.PLACEHOLDER,)),
    "labels_only": Outcome(selected=True),
    "unlabelled": Outcome(selected=True),
}
"""Defect -> outcome, in the order of `Rates`."""
