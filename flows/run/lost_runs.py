"""Runs whose process is gone, and runs whose server is away: what tells them apart, and for how long.

A flow's process sends a heartbeat every 30 s, the shortest that Prefect allows. An automation on the server
calls a run Crashed after `LIMIT` without one; a run that waits for another's work sends heartbeats, too. A
server that comes back looks at all open limits at once, before a process could send what it could not send
meanwhile: what a restart leaves alone is therefore an outage of less than `LIMIT` and one heartbeat.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prefect.automations import Automation

HEARTBEAT = timedelta(seconds=30)
"""Between two heartbeats of a run; no less is allowed by Prefect."""
LIMIT = timedelta(minutes=10)
"""Without a heartbeat, after which a run is called Crashed: an outage of nine minutes leaves runs alone."""

LOST = "sdflow: end runs that lost their heartbeat"
"""Name of the automation."""

ENVIRONMENT: Mapping[str, str] = {
    "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(int(HEARTBEAT.total_seconds())),
    # Waits of 2, 4, ... 256 s: a state that could not be set is offered for eight minutes and a half.
    "PREFECT_CLIENT_MAX_RETRIES": "8",
}
"""Environment of every process that runs a flow: deployments' job variables, and `sdflow run`."""


def lost_runs(limit: timedelta = LIMIT) -> "Automation":
    """The automation for lost runs: after a heartbeat another one, or the end, must come in time.

    Args:
        limit: without a heartbeat, after which a run becomes Crashed.

    Raises:
        ValueError: less than three heartbeats, which a healthy run may miss.
    """
    from prefect.automations import Automation
    from prefect.client.schemas.objects import StateType
    from prefect.events.actions import ChangeFlowRunState
    from prefect.events.schemas.automations import EventTrigger, Posture
    from prefect.events.schemas.events import ResourceSpecification

    if limit < 3 * HEARTBEAT:
        least = 3 * HEARTBEAT.total_seconds()
        raise ValueError(
            f"limit={limit.total_seconds():.0f} s is less than {least:.0f} s, three heartbeats; raise it"
        )
    over = {"Completed", "Failed", "Cancelled", "Crashed"}
    crash = ChangeFlowRunState(
        state=StateType.CRASHED, name="Crashed", message="its heartbeat was lost", force=False
    )
    return Automation(
        name=LOST,
        description="A flow whose process and worker died would stay Running for ever.",
        trigger=EventTrigger(
            posture=Posture.Proactive,
            match=ResourceSpecification({"prefect.resource.id": ["prefect.flow-run.*"]}),
            for_each={"prefect.resource.id"},
            after={"prefect.flow-run.heartbeat"},
            expect={"prefect.flow-run.heartbeat", *(f"prefect.flow-run.{state}" for state in over)},
            threshold=1,
            within=limit,
        ),
        actions=[crash],
    )
