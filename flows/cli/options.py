"""Options that several commands share."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

if TYPE_CHECKING:
    from stages.store import Store

DEFAULT_STORE = "store"

StoreOption = Annotated[
    str,
    Parameter(
        name="--store",
        env_var="SDFLOW_STORE",
        help="Where results live: a folder, s3://bucket/prefix, gs:// or az://.",
    ),
]
ConfigStoreOption = Annotated[
    str | None,
    Parameter(
        name="--store", help="Store to use instead of the config's; without both, $SDFLOW_STORE or ./store."
    ),
]
SetOption = Annotated[
    tuple[str, ...],
    Parameter(
        name="--set",
        negative="",
        show_default=False,
        help="Change a key of the config, KEY=VALUE, as in filter.min_words=3; may be given again.",
    ),
]
JsonOption = Annotated[
    bool, Parameter(name="--json", negative="", show_default=False, help="Print data as JSON.")
]


def open_to_read(url: str) -> "Store":
    """A store that exists; ValueError if there is none."""
    from stages.store import open_store

    return open_store(url, writable=False)


def open_to_write(url: str) -> "Store":
    """A store that exists and can be published to; ValueError if there is none, or it cannot."""
    from stages.store import open_store

    return open_store(open_to_read(url).url)


def environment_store() -> str:
    """The store of those who name none."""
    return os.environ.get("SDFLOW_STORE", DEFAULT_STORE)


ConfigArgument = Annotated[Path, Parameter(help="YAML file; its keys are described in stages/config/run.py.")]
