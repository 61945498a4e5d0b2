"""Rules of filter, as data. A new rule is one line here; the query, its parameters and what rejects say are
made of it.

Expressions are SQL. They see the columns of `ROWS`, and fields of `FilterConfig` as parameters: `$min_side`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from stages.config.run import FilterConfig
from stages.reasons import Reason

ROWS = """
SELECT *, len(captions) > 0 AS captioned, written[1] AS first_words,
    len(captions) = 0 AND ($captions = 'required' OR $captions = 'valid' AND len(written) > 0) AS uncaptioned
FROM (
    SELECT i.uid, i.location, i.length, i.width, i.height,
        least(i.width, i.height) AS shorter_side, greatest(i.width, i.height) AS longer_side,
        d.cluster, d.level, d.distance, d.multiplicity, s.similarity, f.takedown,
        list_filter(list_transform(i.captions, lambda c: words(c.text)), lambda n: n > 0) AS written,
        list_filter(i.captions, lambda c: words(c.text) BETWEEN greatest(1, $min_words) AND $max_words)
            AS captions
    FROM images i JOIN duplicates d USING (uid) LEFT JOIN scores s USING (uid)
    LEFT JOIN forgotten f USING (uid)
)
"""
"""What rules see of a picture. Captions are looked at one by one: a row keeps those of a right length; where
none is, the first that says anything gives the reason, unless captions are optional; where none says
anything, that is a reason only if captions are required."""

SIZE = "width || ' x ' || height"
WORDS = "first_words || ' words'"
SIMILARITY = "coalesce(round(similarity, 4)::VARCHAR, 'not scored')"
DISTANCE = "'distance ' || round(distance, 4) || ' to ' || cluster"


@dataclass(frozen=True)
class Rule:
    """What refuses a row, and what its reject then says."""

    reason: Reason
    key: str
    """Field of `FilterConfig` that decides; while it is None or False the rule is not in force. "": none
    decides, and the rule is always in force."""
    condition: str
    """True for rows that are refused; unknown (NULL) refuses none."""
    detail: str = "''"
    """What the row has that is refused."""
    rule: str = ""
    """What decided. Where it is left empty it is the key, with its value unless that is a switch."""
    merged_into: str = "''"
    """uid of the row that stands for a refused one."""


def best_of_cluster(column: str) -> str:
    """A column of the row that stands for a cluster: one with a caption, then by pixels, bytes, uid, as dedup
    has it."""
    order = "len(captions) = 0, width::BIGINT * height DESC, length DESC, uid"
    return f"first_value({column}) OVER (PARTITION BY cluster ORDER BY {order})"


def beyond_top(key: str, column: str, among: str) -> str:
    """Whether a row is outside the top fraction by a column, of the rows for which `among` is true."""
    window = f"OVER (PARTITION BY {among}"
    rows = f"ceil(round(${key} * count(*) {window}), 6))"
    return f"({among}) AND row_number() {window} ORDER BY {column} DESC NULLS LAST, uid) > {rows}"


_UNLIKE = "captioned AND NOT coalesce(similarity >= $min_similarity, false)"
_OUTRANKED = beyond_top("top_fraction", "similarity", among="captioned")
_STANDS, _LEVELS = best_of_cluster("uid"), f"(level, {best_of_cluster('level')})"
_NEAR = f"{_STANDS} <> uid AND 'near' IN {_LEVELS}"
_EXACT = f"{_STANDS} <> uid AND 'near' NOT IN {_LEVELS}"

ROW_RULES = (
    Rule(Reason.TAKEN_DOWN, "", "takedown IS NOT NULL", rule="'take-down ' || takedown"),
    Rule(Reason.NO_CAPTION, "", "uncaptioned AND first_words IS NULL"),
    Rule(Reason.CAPTION_TOO_SHORT, "min_words", "uncaptioned AND first_words < $min_words", WORDS),
    Rule(Reason.CAPTION_TOO_LONG, "max_words", "uncaptioned AND first_words > $max_words", WORDS),
    Rule(Reason.IMAGE_TOO_SMALL, "min_side", "shorter_side < $min_side", SIZE),
    Rule(Reason.ASPECT_TOO_WIDE, "max_aspect", "longer_side > $max_aspect * shorter_side", SIZE),
    Rule(Reason.LOW_SIMILARITY, "min_similarity", _UNLIKE, SIMILARITY),
)
"""What a row is refused for by itself. The first rule that refuses a row is its reason; in another order they
refuse the same rows."""

FRACTION_RULES = (Rule(Reason.LOW_SIMILARITY, "top_fraction", _OUTRANKED, SIMILARITY),)
"""What a row is refused for among all rows that pass `ROW_RULES`."""

COPY_RULES = (
    Rule(Reason.NEAR_DUPLICATE, "drop_duplicates", _NEAR, DISTANCE, merged_into=_STANDS),
    Rule(Reason.EXACT_DUPLICATE, "drop_duplicates", _EXACT, DISTANCE, merged_into=_STANDS),
)
"""Copies among the rows that pass all rules before. They come last, so that a cluster whose best picture
fails another rule (a swapped caption, say) is stood for by its best remaining one, not lost."""

PHASES = (ROW_RULES, FRACTION_RULES, COPY_RULES)


def verdict(rules: Sequence[Rule], config: FilterConfig) -> str:
    """A struct of what a reject says, by the first rule that refuses a row; NULL where none does."""
    branches = ["WHEN false THEN {'reason': '', 'rule': '', 'detail': '', 'merged_into': ''}"]
    for rule in rules:
        value = getattr(config, rule.key) if rule.key else True
        if value is None or value is False:
            continue
        decided = rule.rule or (f"'{rule.key}'" if value is True else f"'{rule.key}=' || ${rule.key}")
        branches.append(
            f"WHEN {rule.condition} THEN {{'reason': '{rule.reason}', 'rule': {decided}, "
            f"'detail': {rule.detail}, 'merged_into': {rule.merged_into}}}"
        )
    return f"CASE {' '.join(branches)} END"
