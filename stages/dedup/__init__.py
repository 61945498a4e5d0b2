"""dedup: which pictures of a collection are copies of each other.

Two levels. *exact*: the same decoded pixels (so also the same bytes). *near*: perceptual hashes at most
`max_bits` apart (`phash.py`, `pairs.py`), one aspect ratio, a difference of the small decoded pictures
(`difference.py`) of at most `max_difference`, and of what they show on a plain canvas, at its own size
where that is small (`foreground.py`), of at most twice that. Pictures too flat to be hashed are compared
exactly only; the statistic `flat` counts them.

Clusters do not chain (`clusters.py`): every member has a verified edge to the row that stands for its
cluster, which is the best of them: most pixels, then most bytes, then the smallest uid. Nothing is dropped
here: every row is annotated, and filter decides.
"""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from stages.artifacts.artifact import Artifact, Funnel
from stages.config.run import DedupConfig
from stages.dedup.clusters import best_first, leaders
from stages.dedup.copies import exact_groups, near_edges
from stages.dedup.index import PictureIndex, make_part, part_specs
from stages.engine import Inline, Processes
from stages.output import Output
from stages.record import DUPLICATES
from stages.stage import Stats, stage

__all__ = ["dedup"]


@stage(version=2, kind="duplicates")
def dedup(images: Artifact, config: DedupConfig, out: Output) -> Stats:
    """Annotate every row of a collection with its cluster: `duplicates.parquet` (record.DUPLICATES).

    The artifact also holds the index (`index/*`, see index.py), made by parts that read one tar each: a
    refresh decodes only new tars, and another `max_difference` decodes nothing.
    """
    keep = {"background": config.background}
    specs = part_specs(images, config.part_rows, keep, out)
    engine = Inline() if config.workers == 1 else Processes(config.workers)
    parts = out.parts(specs, make_part, engine, config=keep, note="reading pictures")
    for part in parts:
        out.add(part)
    out.check()
    index = PictureIndex(parts)
    rows = index.rows
    rank = best_first(
        rows["width"].to_numpy(), rows["height"].to_numpy(), rows["length"].to_numpy(), rows["uid"].to_numpy()
    )
    same = exact_groups(index, rank)  # the best of the rows with the same pixels
    single = np.unique(same)
    edges = near_edges(index, single, config.max_bits, config.max_difference)
    near, distance = leaders(rank, edges.first, edges.second, edges.distance)
    leader = near[same]

    own = np.arange(len(rows))
    level = np.where(leader == own, "", np.where(same == leader, "exact", "near"))
    sizes = np.bincount(leader, minlength=len(rows))
    table = pd.DataFrame(
        {
            "uid": rows["uid"],
            "phash": rows["phash"],
            "cluster": rows["uid"].to_numpy()[leader],
            "level": level,
            "distance": distance[same],
            "multiplicity": sizes[leader],
        }
    )
    pq.write_table(
        pa.Table.from_pandas(table, DUPLICATES, preserve_index=False),
        out.write("duplicates.parquet"),
        compression="zstd",
    )
    return Stats(
        Funnel(len(rows), len(rows)),
        {
            "clusters_of_copies": int((sizes > 1).sum()),
            "exact": int((level == "exact").sum()),
            "near": int((level == "near").sum()),
            "flat": edges.flat,
            "largest_cluster": int(sizes.max()) if len(sizes) else 0,
            "pairs": {
                "proposed": edges.proposed,
                "compared": edges.compared,
                "foreground_differs": edges.told_apart,
                "verified": len(edges.first),
            },
        },
    )
