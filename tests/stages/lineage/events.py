"""What was sent, read back and held to the schemas."""

import functools
import json
from pathlib import Path
from typing import Any

import jsonschema
from referencing import Registry, Resource

import stages.lineage
from stages.lineage import emitter

SCHEMAS = Path(stages.lineage.__file__).parent / "schemas"


@functools.cache
def validator() -> jsonschema.Draft202012Validator:
    """Of whole events, by the schemas beside the code; looks nothing up anywhere else."""
    documents = [json.loads(path.read_text()) for path in sorted(SCHEMAS.glob("*.json"))]
    for document in documents:
        jsonschema.Draft202012Validator.check_schema(document)
    registry: Registry[Any] = Registry().with_resources(
        [(document["$id"], Resource.from_contents(document)) for document in documents]
    )
    event = json.loads((SCHEMAS / "RunEvent.json").read_text())
    return jsonschema.Draft202012Validator(
        event, registry=registry, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
    )


def sent(file: Path) -> list[dict[str, Any]]:
    """The events of a file, oldest first, each of which fits the schema."""
    assert emitter.flush(60)
    if not file.exists():
        return []
    events = [json.loads(line) for line in file.read_text().splitlines()]
    for event in events:
        validator().validate(event)
    return events
