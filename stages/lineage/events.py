"""A moment of a stage's call as an OpenLineage run event (specification 2-0-2).

A job is a stage; a run is one call of it; a dataset is an artifact, in the namespace of its store, under the
name STAGE/FINGERPRINT and with its digest as version. What comes from outside the store is called
snapshot/DIGEST, in the namespace of jobs. Names of pictures, captions, sources and configs are in no event.
"""

from importlib.metadata import version

from openlineage.client import set_producer
from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, Run, RunEvent, RunState
from openlineage.client.facet_v2 import (
    DatasetFacet,
    RunFacet,
    dataset_version_dataset,
    error_message_run,
    job_type_job,
    output_statistics_output_dataset,
    parent_run,
    processing_engine_run,
)
from openlineage.client.uuid import generate_static_uuid

from stages.artifacts.revision import code_revision
from stages.foreign_text import escape
from stages.lineage.call import InputFacts, StageCall, StageEvent
from stages.lineage.facets import SdflowRequestRunFacet, funnel_facet
from stages.lineage.settings import job_namespace

PACKAGE = version("sdflow")
NAME = 500
"""Characters of a namespace."""

set_producer(f"urn:sdflow:{PACKAGE}")


def run_event(event: StageEvent) -> RunEvent:
    """The event to send."""
    call = event.call
    return RunEvent(
        eventType=RunState[event.state],
        eventTime=event.time.isoformat(timespec="milliseconds"),
        run=Run(run_id(call), _run_facets(event)),
        job=Job(
            escape(job_namespace(), NAME),
            call.stage,
            {"jobType": job_type_job.JobTypeJobFacet("BATCH", "SDFLOW", "STAGE")},
        ),
        inputs=[_input(facts) for facts in call.inputs],
        outputs=[_output(event)],
    )


def run_id(call: StageCall) -> str:
    """A UUID (version 7) of this very call: the same at its start and at its end."""
    return str(generate_static_uuid(call.started, f"{call.fingerprint} {call.token}".encode()))


def _run_facets(event: StageEvent) -> dict[str, RunFacet]:
    call, manifest = event.call, event.manifest
    facets: dict[str, RunFacet] = {
        "processing_engine": processing_engine_run.ProcessingEngineRunFacet(
            version=code_revision(), name="sdflow", openlineageAdapterVersion=PACKAGE
        ),
        "sdflow_request": SdflowRequestRunFacet(
            fingerprint=call.fingerprint,
            configDigest=call.config_digest,
            stageVersion=call.version,
            kind=call.kind,
            digest=manifest.digest if manifest is not None else None,
            cached=event.cached if manifest is not None else None,
        ),
    }
    if call.parent is not None:
        facets["parent"] = parent_run.ParentRunFacet(
            run=parent_run.Run(str(call.parent.id)),
            job=parent_run.Job(escape(job_namespace(), NAME), escape(call.parent.name, NAME)),
        )
    if manifest is not None:
        facets["sdflow_funnel"] = funnel_facet(manifest.funnel)
    if event.state == "FAIL":
        facets["errorMessage"] = error_message_run.ErrorMessageRunFacet(event.message, "PYTHON")
    return facets


def _input(facts: InputFacts) -> InputDataset:
    outside = not facts.fingerprint
    return InputDataset(
        escape(job_namespace() if outside else facts.namespace, NAME),
        f"snapshot/{facts.digest}" if outside else f"{facts.stage}/{facts.fingerprint}",
        facets=_version(facts.digest),
    )


def _output(event: StageEvent) -> OutputDataset:
    call, manifest = event.call, event.manifest
    output = OutputDataset(escape(call.namespace, NAME), f"{call.stage}/{call.fingerprint}")
    if manifest is not None:
        output.facets = _version(manifest.digest)
        output.outputFacets = {
            "outputStatistics": output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(
                rowCount=manifest.funnel.rows_out,
                size=sum(entry.size for entry in manifest.files.values()),
                fileCount=len(manifest.files),
            )
        }
    return output


def _version(digest: str) -> dict[str, DatasetFacet]:
    return {"version": dataset_version_dataset.DatasetVersionDatasetFacet(digest)}
