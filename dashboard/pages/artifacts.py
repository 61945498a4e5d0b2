"""Artifact: everything that is known of one result, its files, and how to make it again."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import FileResponse, HTMLResponse, PlainTextResponse, Response

from dashboard.catalogue import Contents
from dashboard.lineage.state import State, state_of
from dashboard.links import artifact_path, diff_path, special_path
from dashboard.page import Page, render, words
from dashboard.pages.found import artifact_at, known_kind
from dashboard.tables.filter import tables_of
from dashboard.takedowns.downloads import withheld
from dashboard.versions.flattened import flattened, shown
from dashboard.web.security import Access
from stages.artifacts.artifact import Artifact
from stages.artifacts.excerpt import origin_of
from stages.artifacts.files import FileEntry
from stages.fingerprint import short_hash
from stages.kinds.rejects import REJECTS
from stages.report.recipe import Recipe, recipe
from stages.report.sentence import rows_in_words

router = APIRouter()

FILES = 100
"""Files that a page lists."""
FACTS = 120
"""Facts, and keys of a config, that a page lists."""
CHILDREN = 60
"""Results made from it that a page lists."""
LONGEST = 400
"""Characters of a fact."""


@dataclass(frozen=True)
class Relative:
    """An input of an artifact, or what was made from it."""

    name: str
    """Of the input."""
    artifact: Artifact | None
    words: str
    """Where the store knows nothing of it."""
    state: State | None


@router.get("/artifacts/{stage}/{fingerprint}")
def artifact_page(request: Request, stage: str, fingerprint: str, files_after: str = "") -> HTMLResponse:
    """The page; `files_after` is the name after which the list of files goes on."""
    contents, artifact = artifact_at(request, fingerprint, stage)
    access: Access = request.app.state.access
    manifest, kind = artifact.manifest, known_kind(artifact)
    names = [name for name in artifact.names() if name > files_after]
    began, ended = (datetime.fromisoformat(time) for time in (manifest.started, manifest.ended))
    special = special_path(artifact)
    return render(
        request,
        "artifact.html",
        _page(artifact),
        contents=contents,
        artifact=artifact,
        kind=kind,
        references=contents.references.get(artifact.fingerprint, ()),
        holds=list(_holds(contents, artifact)),
        state=state_of(contents, artifact),
        special=special if special != artifact_path(artifact) else "",
        gallery=_has_rows(artifact),
        earlier=_earlier(contents, artifact),
        seconds=(ended - began).total_seconds(),
        has_rejects=artifact.has_table("rejects"),
        warnings=[str(each) for each in artifact.statistics.get("warnings", ())],
        facts=_facts({name: fact for name, fact in artifact.statistics.items() if name != "warnings"}),
        settings=_facts(artifact.config),
        inputs=list(_inputs(contents, artifact)),
        children=list(islice(_children(contents, artifact), CHILDREN)),
        left_out=max(0, len(contents.children.get(artifact.fingerprint, ())) - CHILDREN),
        files=[(name, artifact.files[name], _amended(artifact, name)) for name in names[:FILES]],
        more_files=names[FILES - 1] if len(names) > FILES else "",
        size=sum(entry.size for entry in artifact.files.values()),
        recipe=recipe_of(contents, artifact),
        verification=contents.verifications.get(artifact.fingerprint),
        form_token=access.form_token,
    )


@router.get("/artifacts/{stage}/{fingerprint}/config.yaml")
def config_file(request: Request, stage: str, fingerprint: str) -> Response:
    """The config that makes it again, to be saved."""
    contents, artifact = artifact_at(request, fingerprint, stage)
    made = recipe_of(contents, artifact)
    if made is None:
        raise HTTPException(404)
    headers = {"Content-Disposition": f'attachment; filename="{made.file_name}"'}
    return PlainTextResponse(made.text, headers=headers)


@router.api_route("/artifacts/{stage}/{fingerprint}/files/{name:path}", methods=["GET", "HEAD"])
def file(request: Request, stage: str, fingerprint: str, name: str) -> Response:
    """A file, to be saved: a browser never opens one, whatever it holds."""
    contents, artifact = artifact_at(request, fingerprint, stage)
    if artifact.dropped is not None:
        return render(request, "message.html", _no_file(artifact), 410, message=str(artifact.dropped))
    if name not in artifact.files:
        raise HTTPException(404)
    if why := withheld(contents, artifact, name):
        return render(request, "message.html", _no_file(artifact), 410, message=why)
    return FileResponse(
        artifact.path(name),
        media_type="application/octet-stream",
        filename=name.rpartition("/")[2],
        headers={"Cache-Control": "no-store"},
    )


def recipe_of(contents: Contents, artifact: Artifact) -> Recipe | None:
    """How to make an artifact again, under the name by which its collection goes."""
    lineage = [*reversed(contents.ancestors(artifact)), artifact, *contents.descendants(artifact)]
    names = (each for relative in lineage for each in contents.references.get(relative.fingerprint, ()))
    name = next((each.rpartition("@")[0].partition("/")[2] for each in names), "")
    return recipe(artifact, contents.artifacts, name or "again")


def _has_rows(artifact: Artifact) -> bool:
    """Whether the rows that went on can be looked through, not those alone that were left out."""
    if artifact.dropped is not None or known_kind(artifact) is None:
        return False
    return any(table != REJECTS.table for table in tables_of(artifact))


def _page(artifact: Artifact) -> Page:
    kind = words(artifact.kind)
    about = f"The {kind} that {words(artifact.stage)} made: {rows_in_words(artifact).replace('_', ' ')}."
    hint = "Open a reason to see its rows, or what it was made from to go back along the line."
    if artifact.dropped is not None:
        about = f"{artifact.dropped}. What is still known of it stands here; its files are gone."
        hint = "The command below makes it again from what is there now."
    return Page(
        title=artifact.short_name, about=about, hint=hint, crumbs=(("Home", "/"), ("Graph", "/graph"))
    )


def _no_file(artifact: Artifact) -> Page:
    return Page(
        title="This file is not handed out",
        about=f"A file of {artifact.short_name}.",
        crumbs=(("Home", "/"), (artifact.short_name, artifact_path(artifact))),
    )


def _facts(values: object) -> list[tuple[str, str]]:
    """Paths and values, as people read them."""
    return [(path, shown(value)[: LONGEST * 2]) for path, value in islice(flattened(values).items(), FACTS)]


def _holds(contents: Contents, artifact: Artifact) -> Iterator[tuple[str, str]]:
    """Each of its versions that is on hold, and why."""
    for history in contents.histories.values():
        for entry in history:
            if entry.fingerprint == artifact.fingerprint and entry.number in contents.on_hold[entry.name]:
                yield str(entry), "; ".join(entry.on_hold)


def _earlier(contents: Contents, artifact: Artifact) -> tuple[str, str] | None:
    """The version before it of one of its names, and the page of what differs."""
    for reference in contents.references.get(artifact.fingerprint, ()):
        name, _, number = reference.rpartition("@")
        before = [entry for entry in contents.histories[name] if entry.number < int(number)]
        if before and before[-1].fingerprint != artifact.fingerprint:
            return str(before[-1]), diff_path(str(before[-1]), reference)
    return None


def _inputs(contents: Contents, artifact: Artifact) -> Iterator[Relative]:
    inputs = artifact.manifest.inputs
    for name, recorded in inputs.items():
        if not recorded:
            yield Relative(name, None, "none", None)
        elif not recorded["fingerprint"]:
            origin, digest = origin_of(name, inputs), short_hash(recorded["digest"])
            yield Relative(name, None, f"{origin}, digest {digest}", None)
        elif recorded["fingerprint"] in contents.artifacts:
            parent = contents.artifacts[recorded["fingerprint"]]
            yield Relative(name, parent, "", state_of(contents, parent))
        else:
            known = f"{recorded['stage']}/{short_hash(recorded['fingerprint'])}"
            yield Relative(name, None, f"{known}, of which the store knows nothing any more", None)


def _children(contents: Contents, artifact: Artifact) -> Iterator[Relative]:
    """What was made from it, newest first."""
    for name, fingerprint in reversed(contents.children.get(artifact.fingerprint, ())):
        child = contents.artifacts[fingerprint]
        yield Relative(name, child, "", state_of(contents, child))


def _amended(artifact: Artifact, name: str) -> bool:
    own: FileEntry | None = artifact.manifest.files.get(name)
    return own is not None and own != artifact.files[name]
