"""The demo's figures: what the store says of a finished run, held against the truth of what was planted."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from stages.artifacts.artifact import Artifact
from stages.demo.scoring import score_defects, wrongly_merged
from stages.demo.site import DemoSite


def figures(artifacts: Mapping[str, Artifact], site: DemoSite, seconds: float) -> dict[str, Any]:
    """All that `sdflow demo` prints and writes.

    Args:
        artifacts: of the run, by stage.
        site: what was served, with its truth.
        seconds: that the whole command took so far.

    Returns:
        seconds; funnel {stage: {rows_in, rows_out, reasons}}; defects {name: {outcome, planted, caught,
        recall, precision}};
        good_dropped, the share of good pictures that dedup took for copies; oracle (None where it was not
        asked);
        clip {r_at_1_of_64}; validation; images_per_second; artifacts {stage: digest}; grid, the path of the
        PNG.
    """
    evaluation = artifacts["evaluate"]
    report = evaluation.json("report.json")
    truth = pd.read_parquet(site.truth)
    images, duplicates = artifacts["collect"].table("images"), artifacts["dedup"].table("duplicates")
    rejects = pd.concat([artifacts[stage].table("rejects") for stage in ("collect", "filter", "shard")])
    wrong, seen = wrongly_merged(truth, images, duplicates)
    return {
        "seconds": round(seconds, 1),
        "funnel": {
            stage: {
                "rows_in": artifact.funnel.rows_in,
                "rows_out": artifact.funnel.rows_out,
                "reasons": dict(artifact.funnel.reasons),
            }
            for stage, artifact in artifacts.items()
        },
        "defects": score_defects(truth, images, duplicates, rejects),
        "good_dropped": {"dropped": wrong, "of": seen, "share": round(wrong / max(1, seen), 5)},
        "oracle": report.get("oracle"),
        "clip": report.get("clip"),
        "similarity": report.get("similarity"),
        "validation": report["validation"],
        "images_per_second": artifacts["train"].statistics["images_per_second"],
        "artifacts": {stage: artifact.digest for stage, artifact in artifacts.items()},
        "grid": str(evaluation.path("grid.png")),
    }
