"""How well a pipeline caught what was planted: precision and recall of its tables against the ground
truth."""

from dataclasses import asdict, dataclass

import pandas as pd

from stages.demo.outcomes import LEVELS, OUTCOMES, Outcome
from stages.demo.rates import PLANTED


@dataclass(frozen=True)
class DefectScore:
    """The precision and recall of a planted defect."""

    outcome: str
    """What should become of its rows, in words."""
    planted: int
    """Rows that bear it."""
    caught: int
    """Of these, caught; see `score_defects`."""
    recall: float | None
    """Caught over planted; None where none was planted."""
    precision: float | None
    """Share of what was rejected for its reasons that deserved it; None where nothing was."""


def _merged(truth: pd.DataFrame, images: pd.DataFrame, duplicates: pd.DataFrame) -> pd.DataFrame:
    """dedup's rows with the truth's `defect` and `picture`, and the picture of their cluster's
    `representative`."""
    # Rows of one URL show one picture, and only the first of them reaches dedup.
    known = truth.loc[truth.defect != "duplicate_url", ["url", "defect", "picture"]]
    rows = duplicates[["uid", "cluster", "level"]].merge(images[["uid", "location"]], on="uid")
    rows = rows.merge(known, left_on="location", right_on="url")
    representatives = pd.DataFrame({"cluster": rows["uid"], "representative": rows["picture"]})
    return rows.merge(representatives, on="cluster")


def wrongly_merged(truth: pd.DataFrame, images: pd.DataFrame, duplicates: pd.DataFrame) -> tuple[int, int]:
    """(pictures taken for copies of a different picture, pictures that dedup saw)."""
    rows = _merged(truth, images, duplicates)
    return int(((rows.level != "") & (rows.representative != rows.picture)).sum()), len(rows)


def score_defects(
    truth: pd.DataFrame, images: pd.DataFrame, duplicates: pd.DataFrame, rejects: pd.DataFrame
) -> dict[str, dict[str, float | int | str | None]]:
    """Defect -> a `DefectScore` as a dict, for every defect of `Rates`.

    * A copy of a picture is caught when dedup put it in a cluster with another row of the same picture,
      whichever of them was kept. Precision: of the rows that dedup dropped as exact (for exact copies) or
      near (for re-encoded and resized ones), the share whose kept row shows the same picture.
    * A row that should be held after all is caught when collect brought its picture and, where decoding must
      set something right, says so; one that should be in the dataset, when no later stage rejected it,
      either. It has no precision.
    * Any other is caught when its row was rejected for one of its reasons, by its rule where it names one.
      Precision: of the rows rejected so, the share that bear the defect; rows of other defects that have the
      reasons and the rule in common (captions swapped whole and captions wrong in one attribute) are left
      out of it.

    Args:
        truth: the site's truth.parquet.
        images: collect's images table; uid, location and repairs are read.
        duplicates: dedup's table; uid, cluster and level.
        rejects: all stages' rejects, one below the other; reason, rule and location.
    """
    merged = _merged(truth, images, duplicates)
    copies = merged[merged.duplicated(["cluster", "picture"], keep=False)]
    accounts: dict[str, dict[str, float | int | str | None]] = {}
    for name in PLANTED:
        outcome, planted = OUTCOMES[name], truth[truth.defect == name]
        precision: float | None = None
        if name in LEVELS:
            caught = int((copies.defect == name).sum())
            dropped = merged[merged.level == LEVELS[name]]
            precision = float((dropped.representative == dropped.picture).mean()) if len(dropped) else None
        elif not outcome.reasons:
            right = [not outcome.repair or outcome.repair in repairs for repairs in images.repairs]
            present = planted.url.isin(images.location[right])
            if outcome.selected:
                present &= ~planted.url.isin(rejects.location)
            caught = int(present.sum())
        else:
            caught, precision = _rejected(name, outcome, truth, rejects)
        recall = caught / len(planted) if len(planted) else None
        accounts[name] = asdict(DefectScore(outcome.words, len(planted), caught, recall, precision))
    return accounts


def _rejected(
    name: str, outcome: Outcome, truth: pd.DataFrame, rejects: pd.DataFrame
) -> tuple[int, float | None]:
    """(rows caught, precision) of a defect whose rows should be rejected."""
    deserved = rejects["reason"].isin([str(reason) for reason in outcome.reasons])
    if outcome.rule:
        deserved &= rejects["rule"] == outcome.rule
    rejected = rejects.loc[deserved, "location"].value_counts()
    expected = truth[truth.defect == name].url.value_counts()
    # Counted by URL: a URL that is planted twice over must be rejected twice.
    caught = int(expected.clip(upper=rejected.reindex(expected.index, fill_value=0)).sum())
    alike = [other for other, it in OUTCOMES.items() if other != name and it.shares(outcome)]
    total = int(rejected[~rejected.index.isin(truth[truth.defect.isin(alike)].url)].sum())
    return caught, caught / total if total else None
