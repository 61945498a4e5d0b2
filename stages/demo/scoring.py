"""How well a pipeline caught what was planted: its tables held against the truth."""

from dataclasses import asdict, dataclass

import pandas as pd

from stages.demo.defects import DEFECTS
from stages.reasons import Reason

CATCHES: dict[str, tuple[Reason, ...]] = {
    "duplicate_url": (Reason.DUPLICATE_URL,),
    "not_found": (Reason.HTTP_CLIENT_ERROR,),
    "truncated": (Reason.TRUNCATED, Reason.UNDECODABLE),
    "html": (Reason.NOT_AN_IMAGE,),
    "tiny": (Reason.TOO_SMALL, Reason.IMAGE_TOO_SMALL),
    "swapped_caption": (Reason.LOW_SIMILARITY,),
    "attribute_caption": (Reason.LOW_SIMILARITY,),
    "empty_caption": (Reason.NO_CAPTION, Reason.CAPTION_TOO_SHORT),
}
"""Defect -> the reasons that catch it, for all defects but copies of pictures and `flaky`."""

_LEVELS = {"exact_copy": "exact", "reencoded_copy": "near", "resized_copy": "near"}
_PARTNER = {"swapped_caption": "attribute_caption", "attribute_caption": "swapped_caption"}


@dataclass(frozen=True)
class Catch:
    """One defect's account."""

    planted: int
    """Rows that bear it."""
    caught: int
    """Of these, caught; see `score_defects`."""
    recall: float | None
    """Caught over planted; None where none was planted."""
    precision: float | None
    """Share of what was rejected for its reasons that deserved it; None where nothing was."""


def _merged(truth: pd.DataFrame, images: pd.DataFrame, duplicates: pd.DataFrame) -> pd.DataFrame:
    """dedup's rows with the truth's `defect` and `picture`, and the picture of the row `kept` for them."""
    # Rows of one URL show one picture, and only the first of them reaches dedup.
    known = truth.loc[truth.defect != "duplicate_url", ["url", "defect", "picture"]]
    rows = duplicates[["uid", "cluster", "level"]].merge(images[["uid", "location"]], on="uid")
    rows = rows.merge(known, left_on="location", right_on="url")
    kept = pd.DataFrame({"cluster": rows["uid"], "kept": rows["picture"]})
    return rows.merge(kept, on="cluster")


def wrongly_merged(truth: pd.DataFrame, images: pd.DataFrame, duplicates: pd.DataFrame) -> tuple[int, int]:
    """(pictures taken for copies of a different picture, pictures that dedup saw)."""
    rows = _merged(truth, images, duplicates)
    return int(((rows.level != "") & (rows.kept != rows.picture)).sum()), len(rows)


def score_defects(
    truth: pd.DataFrame, images: pd.DataFrame, duplicates: pd.DataFrame, rejects: pd.DataFrame
) -> dict[str, dict[str, float | int | None]]:
    """Defect -> {"planted", "caught", "recall", "precision"}, for every defect of `Rates`.

    * A copy of a picture is caught when dedup put it in a cluster with another row of the same picture,
      whichever of them was kept. Precision: of the rows that dedup dropped as exact (for exact copies) or
      near (for re-encoded and resized ones), the share whose kept row shows the same picture.
    * A flaky row is caught when collect brought its picture after all; it has no precision.
    * Any other is caught when its row was rejected for one of the reasons in CATCHES. Precision: of the rows
      rejected for these, the share that bear the defect. Captions swapped whole and captions wrong in one
      attribute share a reason, so each leaves the other's rows out of its precision.

    Args:
        truth: the site's truth.parquet.
        images: collect's images table; uid and location are read.
        duplicates: dedup's table; uid, cluster and level.
        rejects: all stages' rejects, one below the other; reason and location.
    """
    merged = _merged(truth, images, duplicates)
    copies = merged[merged.duplicated(["cluster", "picture"], keep=False)]
    accounts: dict[str, dict[str, float | int | None]] = {}
    for name in DEFECTS:
        planted = truth[truth.defect == name]
        precision: float | None = None
        if name in _LEVELS:
            caught = int((copies.defect == name).sum())
            dropped = merged[merged.level == _LEVELS[name]]
            precision = float((dropped.kept == dropped.picture).mean()) if len(dropped) else None
        elif name == "flaky":
            caught = int(planted.url.isin(images.location).sum())
        else:
            found = rejects[
                rejects.reason.isin([str(reason) for reason in CATCHES[name]])
            ].location.value_counts()
            wanted = planted.url.value_counts()
            # Counted by URL: a URL that is planted twice over must be rejected twice.
            caught = int(wanted.clip(upper=found.reindex(wanted.index, fill_value=0)).sum())
            partner = truth[truth.defect == _PARTNER.get(name, "-")].url
            total = int(found[~found.index.isin(partner)].sum())
            precision = caught / total if total else None
        recall = caught / len(planted) if len(planted) else None
        accounts[name] = asdict(Catch(len(planted), caught, recall, precision))
    return accounts
