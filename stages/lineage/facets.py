"""Facets of our own, as OpenLineage's specification has custom ones: what a stage's run did with its rows,
and what was asked of it. `schemas/` has a JSON schema of each."""

import attr
from openlineage.client.facet_v2 import RunFacet

from stages.artifacts.manifest import Funnel

SCHEMAS = "urn:sdflow:openlineage"
"""Where schemas are called from; they lie beside the code, and no address has to answer."""
REASONS = 200
"""Reasons that an event names; those with fewest rows are added up beyond that."""
OTHERS = "other_reasons"


@attr.define
class SdflowFunnelRunFacet(RunFacet):
    """What became of the rows that came in: rows in = rows out + rows of all reasons."""

    rowsIn: int = 0  # noqa: N815 - as the specification spells names
    rowsOut: int = 0  # noqa: N815
    reasons: dict[str, int] = attr.field(factory=dict)
    """Rows that were not passed on, by reason."""

    @staticmethod
    def _get_schema() -> str:
        return f"{SCHEMAS}:1-0-0:SdflowFunnelRunFacet.json#/$defs/SdflowFunnelRunFacet"


@attr.define
class SdflowRequestRunFacet(RunFacet):
    """What was asked of the stage, by the names that the store has for it."""

    fingerprint: str = ""
    """64 hex digits of stage, version, config and inputs."""
    configDigest: str = ""  # noqa: N815
    """64 hex digits of the canonical config."""
    stageVersion: int = 1  # noqa: N815
    kind: str = ""
    """Of the artifact."""
    digest: str | None = None
    """64 hex digits of the result, once there is one."""
    cached: bool | None = None
    """Of a run that has completed: its artifact was found finished, and nothing was done."""

    @staticmethod
    def _get_schema() -> str:
        return f"{SCHEMAS}:1-0-0:SdflowRequestRunFacet.json#/$defs/SdflowRequestRunFacet"


def funnel_facet(funnel: Funnel) -> SdflowFunnelRunFacet:
    """The facet of a funnel, with a bounded number of reasons."""
    ranked = funnel.ranked_reasons()
    reasons = dict(ranked[:REASONS])
    if len(ranked) > REASONS:
        reasons[OTHERS] = sum(rows for _, rows in ranked[REASONS:])
    return SdflowFunnelRunFacet(rowsIn=funnel.rows_in, rowsOut=funnel.rows_out, reasons=reasons)
