"""A campaign as an RO-Crate: a folder that says of each of its files what it is, for an archive or a paper.

The metadata follow RO-Crate 1.1 (Sefton et al. 2022, https://w3id.org/ro/crate/1.1), one JSON-LD file written by hand.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from campaign.export import results
from campaign.report import write_report
from campaign.state import BATCH_RECOMMENDED, State, load_state
from campaign.yaml import dump
from db.errors import Conflict, InvalidInput, Problem
from db.placing import part_of
from db.records import Event
from db.store import Store
from lab_io.exports import to_csv

METADATA = "ro-crate-metadata.json"
CONTEXT = ["https://w3id.org/ro/crate/1.1/context", {"sha256": "https://schema.org/sha256"}]
NO_LICENCE = "No licence was stated: ask whoever holds the rights to the data before you use them."


@dataclass(frozen=True)
class Part:
    """One file of the crate."""

    path: str
    name: str
    format: str
    content: bytes
    description: str = ""

    def entity(self) -> dict[str, Any]:
        """What the metadata say of it."""
        found = {
            "@id": self.path,
            "@type": "File",
            "name": self.name,
            "encodingFormat": self.format,
            "contentSize": str(len(self.content)),
            "sha256": hashlib.sha256(self.content).hexdigest(),
        }
        return found | ({"description": self.description} if self.description else {})


def write_crate(store: Store, name: str, folder: Path, *, licence: str | None = None) -> Path:
    """Write a campaign as an RO-Crate; the folder appears when it is whole.

    Args:
        store: where the campaign is.
        name: of the campaign.
        folder: to be made; an empty one is taken.
        licence: address or text of the licence.

    Raises:
        Conflict: the folder holds something.
        InvalidInput: no such campaign, or the folder cannot be written.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise Conflict(Problem(str(folder), "there is something of this name already", "name a new folder"))
    part = part_of(folder)
    try:
        part.mkdir()
        try:
            with store.reading():
                _fill(store, load_state(store, name), part, licence)
            if folder.exists():
                folder.rmdir()
            part.rename(folder)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    except OSError as error:
        fix = "name a folder in one that exists and may be written to"
        raise InvalidInput(Problem(str(folder), f"the crate cannot be written ({error.strerror})", fix)) from error
    return folder


def _fill(store: Store, state: State, folder: Path, licence: str | None) -> None:
    events = store.events(state.name)
    parts = list(_parts(store, state, events))
    for part in parts:
        path = folder / part.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(part.content)
    write_report(state, folder / "report.html", verified=not store.verify(state.name), store=store)
    page = (folder / "report.html").read_bytes()
    parts.append(
        Part("report.html", "report", "text/html", page, "Where the campaign stands; opens without a network.")
    )
    graph = [*_about(state, events, parts, licence), *_actions(state, events), *(part.entity() for part in parts)]
    document = {"@context": CONTEXT, "@graph": graph}
    (folder / METADATA).write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _parts(store: Store, state: State, events: list[Event]) -> Iterator[Part]:
    about = "One row a measurement, as it counts now; `siteloop ingest` reads it."
    yield Part("results.csv", "results", "text/csv", to_csv(results(state)), about)
    batches = [
        asdict(batch) | {"recommendations": [asdict(r) for r in state.recommendations if r.batch == batch.id]}
        for batch in state.batches
    ]
    about = "Every batch with seed, snapshot and settings; every recommendation with prediction and rationale."
    yield Part("recommendations.json", "recommendations", "application/json", _json(batches), about)
    spec = dump(state.spec.resolved()).encode()
    yield Part("spec.yaml", "spec", "application/yaml", spec, f"Revision {state.revision}, every default written out.")
    revisions = [asdict(store.spec(state.name, number)) for number in range(1, state.revision + 1)]
    yield Part("spec_revisions.json", "spec revisions", "application/json", _json(revisions))
    about = "Recipe, hashes and seed of every surrogate, from which it can be fitted again."
    models = [asdict(version) for version in store.model_versions(state.name)]
    yield Part("models.json", "models", "application/json", _json(models), about)
    about = f"Every event with its hash; the head is {state.head.hash}."
    ledger = b"".join(json.dumps(asdict(e), sort_keys=True, ensure_ascii=False).encode() + b"\n" for e in events)
    yield Part("ledger.jsonl", "ledger", "application/jsonl", ledger, about)
    for name, content in sorted(state.files.items()):
        yield Part(f"files/{_hash(content)}", name, "application/octet-stream", content, "A file that the spec names.")
    for sha256 in sorted({m.source for m in store.measurements(state.name, current=False) if m.source}):
        if source := store.source(sha256):
            about = "A table of results as it was handed in."
            yield Part(f"sources/{sha256}", source.name, "application/octet-stream", source.content, about)


def _about(state: State, events: list[Event], parts: Iterable[Part], licence: str | None) -> Iterator[dict[str, Any]]:
    """The metadata file, the crate itself, its licence, the software and the people."""
    yield {
        "@id": METADATA,
        "@type": "CreativeWork",
        "about": {"@id": "./"},
        "conformsTo": {"@id": "https://w3id.org/ro/crate/1.1"},
    }
    url = licence if licence and licence.startswith(("https://", "http://")) else "#licence"
    people = sorted({event.by for event in events})
    goals = ", ".join(f"{o.goal} {o.name}" for o in state.objectives)
    yield {
        "@id": "./",
        "@type": "Dataset",
        "identifier": state.head.hash,
        "name": state.name,
        "description": f"A campaign of materials discovery: {goals}; {len(state.samples)} samples.",
        "datePublished": state.head.at,
        "license": {"@id": url},
        "creator": [{"@id": f"#person-{i}"} for i, _ in enumerate(people)],
        "hasPart": [{"@id": part.path} for part in parts],
        "mentions": [{"@id": f"#batch-{batch.number}"} for batch in state.batches],
        "variableMeasured": [{"@id": f"#metric-{i}"} for i, _ in enumerate(state.metrics)],
    }
    yield {"@id": url, "@type": "CreativeWork", "name": licence or "not stated", "description": licence or NO_LICENCE}
    for i, person in enumerate(people):
        yield {"@id": f"#person-{i}", "@type": "Person", "name": person}
    for i, metric in enumerate(state.metrics):
        yield {"@id": f"#metric-{i}", "@type": "PropertyValue", "name": metric.name, "unitText": metric.unit or "1"}
    version = importlib.metadata.version("siteloop")
    yield {"@id": "#siteloop", "@type": "SoftwareApplication", "name": "siteloop", "softwareVersion": version}


def _actions(state: State, events: list[Event]) -> Iterator[dict[str, Any]]:
    """How each batch came about."""
    people = sorted({event.by for event in events})
    said = {event.payload["batch"]: event for event in events if event.kind == BATCH_RECOMMENDED}
    for batch in state.batches:
        event = said[batch.id]
        yield {
            "@id": f"#batch-{batch.number}",
            "@type": "CreateAction",
            "name": f"batch {batch.number}",
            "description": f"siteloop {batch.code_version}, seed {batch.seed}, data snapshot {batch.snapshot}",
            "agent": {"@id": f"#person-{people.index(event.by)}"},
            "instrument": {"@id": "#siteloop"},
            "endTime": event.at,
            "object": [{"@id": "results.csv"}, {"@id": "spec.yaml"}],
            "result": {"@id": "recommendations.json"},
        }


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
