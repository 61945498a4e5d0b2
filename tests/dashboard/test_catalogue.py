from dashboard.catalogue import SECONDS, Catalogue
from stages.artifacts.artifact import Artifact
from stages.artifacts.reference import refer
from stages.store import Store


def test_lineage_leads_both_ways(filled: Store, made: dict[str, Artifact]):
    contents = Catalogue(filled).contents()
    above = {artifact.stage for artifact in contents.ancestors(made["shard"])}
    below = {artifact.stage for artifact in contents.descendants(made["shard"])}
    assert above == {"collect", "dedup", "score", "filter"}
    assert below == {"train", "evaluate"}
    assert contents.references[made["train"].fingerprint] == ["models/line@1"]
    assert contents.by_prefix(made["train"].fingerprint[:8]) == [
        contents.artifacts[made["train"].fingerprint]
    ]


def test_what_is_new_is_seen_at_the_next_look(filled: Store, made: dict[str, Artifact]):
    time = 0.0
    catalogue = Catalogue(filled, clock=lambda: time)
    before = catalogue.contents()
    refer(filled, "images/seen", made["collect"])
    assert catalogue.contents() is before
    time += SECONDS
    after = catalogue.contents()
    assert "images/seen" in after.histories
    assert after.version != before.version
    time += SECONDS
    assert catalogue.contents() is after  # nothing has changed, and nothing is read again
