"""Who gets OpenLineage events: nobody, unless the environment says so.

* `SDFLOW_OPENLINEAGE=PATH`: a line of JSON for each event is added to this file, by the client's file
  transport. This is the default way: no service is needed and no host is asked. It stands above the rest.
* `OPENLINEAGE_URL`, `OPENLINEAGE_CONFIG=FILE` or `OPENLINEAGE__TRANSPORT__...`: the OpenLineage client's own
  configuration, for HTTP and whatever else it sends by. Key, endpoint, retries, filters and tags are its own.
* `OPENLINEAGE_DISABLED=true` switches all of it off.

A file `openlineage.yml` that merely lies in the working folder, or at home, switches nothing on: nobody who
runs a command in a stranger's folder sends anything to a stranger's host. `OPENLINEAGE_NAMESPACE` names the
namespace of jobs, "sdflow" by default.

A store gets no events written into it: it holds what is finished and immutable, and often lies in a bucket,
where nothing can be appended.
"""

import os

FILE = "SDFLOW_OPENLINEAGE"
_CLIENTS_OWN = ("OPENLINEAGE_URL", "OPENLINEAGE_CONFIG")
_TRANSPORT = "OPENLINEAGE__TRANSPORT"


def is_configured() -> bool:
    """Whether somebody asked for events."""
    if os.environ.get("OPENLINEAGE_DISABLED", "").strip().lower() == "true":
        return False
    return any(map(os.environ.get, (FILE, *_CLIENTS_OWN))) or any(
        name.startswith(_TRANSPORT) for name in os.environ
    )


def events_file() -> str:
    """The path of the file that events are added to; empty: they go the client's own way."""
    return os.environ.get(FILE, "")


def job_namespace() -> str:
    """The namespace of jobs."""
    return os.environ.get("OPENLINEAGE_NAMESPACE") or "sdflow"
