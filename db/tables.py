"""The tables as they are now; `db/migrations` makes them, and a test holds the two equal.

Columns carry the names of the fields of `db.records`. Fields that are mappings there are TEXT here holding canonical
JSON (`db.chain.canonical`), marked `info={"json": True}`. Times are TEXT: UTC, ISO 8601 with microseconds. Rows that
an event recorded carry its number (`seq`) and their place in it (`position`), so that reads come back in the order of
recording whatever the database's collation.

Ledger tables have no hidden row number in SQLite (`sqlite_with_rowid=False`): `INSERT OR REPLACE` could aim at it and
pass the append-only triggers by.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.schema import SchemaItem

metadata = MetaData()


def _text(name: str, *constraints: SchemaItem, null: bool = False, key: bool = False) -> Column[Any]:
    return Column(name, Text, *constraints, nullable=null, primary_key=key)


def _json(name: str, *, null: bool = False) -> Column[Any]:
    return Column(name, Text, nullable=null, info={"json": True})


def _integer(name: str, *, key: bool = False) -> Column[Any]:
    return Column(name, BigInteger, nullable=False, primary_key=key, autoincrement=False)


def _recorded(table: str) -> tuple[SchemaItem, ...]:
    """Columns and constraints of a row that an event of its campaign recorded."""
    return (
        _integer("seq"),
        _integer("position"),
        ForeignKeyConstraint(["campaign", "seq"], ["event.campaign", "event.seq"]),
        Index(f"{table}_order", "campaign", "seq", "position"),
    )


campaign = Table("campaign", metadata, _text("name", key=True), _text("created_at"))

event = Table(
    "event",
    metadata,
    _text("campaign", ForeignKey("campaign.name"), key=True),
    _integer("seq", key=True),
    _text("kind"),
    _json("payload"),
    _text("by"),
    _text("at"),
    _text("prev_hash"),
    _text("hash"),
    _integer("hash_version"),
    UniqueConstraint("campaign", "prev_hash", name="event_prev_hash"),
    sqlite_with_rowid=False,
)

source = Table(
    "source",
    metadata,
    _text("sha256", key=True),
    _text("name"),
    Column("content", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)

candidate = Table("candidate", metadata, _text("id", key=True), _json("design"), _text("stratum"))

spec_revision = Table(
    "spec_revision",
    metadata,
    _text("id", key=True),
    _text("campaign", ForeignKey("campaign.name")),
    _integer("revision"),
    _json("spec"),
    _json("sources"),
    _text("reason", null=True),
    *_recorded("spec_revision"),
    UniqueConstraint("campaign", "revision", name="spec_revision_revision"),
    sqlite_with_rowid=False,
)

batch = Table(
    "batch",
    metadata,
    _text("id", key=True),
    _text("campaign", ForeignKey("campaign.name")),
    _integer("number"),
    _integer("spec_revision"),
    _text("snapshot"),
    _text("code_version"),
    _integer("seed"),
    _json("settings"),
    *_recorded("batch"),
    ForeignKeyConstraint(["campaign", "spec_revision"], ["spec_revision.campaign", "spec_revision.revision"]),
    UniqueConstraint("campaign", "number", name="batch_number"),
    sqlite_with_rowid=False,
)

recommendation = Table(
    "recommendation",
    metadata,
    _text("id", key=True),
    _text("campaign", ForeignKey("campaign.name")),
    _text("batch", ForeignKey("batch.id")),
    _integer("rank"),
    _text("label"),
    _text("candidate", ForeignKey("candidate.id")),
    _json("design"),
    _text("stratum"),
    _json("prediction"),
    _json("rationale"),
    *_recorded("recommendation"),
    UniqueConstraint("campaign", "label", name="recommendation_label"),
    sqlite_with_rowid=False,
)

sample = Table(
    "sample",
    metadata,
    _text("id", key=True),
    _text("campaign", ForeignKey("campaign.name")),
    _text("label"),
    _text("candidate", ForeignKey("candidate.id")),
    _json("design"),
    _text("stratum"),
    _text("recommendation", ForeignKey("recommendation.id"), null=True),
    *_recorded("sample"),
    UniqueConstraint("campaign", "label", name="sample_label"),
    sqlite_with_rowid=False,
)

measurement = Table(
    "measurement",
    metadata,
    _text("id", key=True),
    _text("campaign", ForeignKey("campaign.name")),
    _text("sample", ForeignKey("sample.id")),
    _text("metric"),
    Column("value", Double),
    _text("unit", null=True),
    Column("sd", Double),
    _text("qualifier"),
    _text("replicate", null=True),
    _json("composition", null=True),
    _json("conditions"),
    _text("source", ForeignKey("source.sha256"), null=True),
    _text("cell", null=True),
    _text("supersedes", ForeignKey("measurement.id"), null=True),
    _text("reason", null=True),
    *_recorded("measurement"),
    Index("measurement_supersedes", "supersedes"),
    sqlite_with_rowid=False,
)

model_version = Table(
    "model_version",
    metadata,
    _text("campaign", ForeignKey("campaign.name"), key=True),
    _text("recipe_hash", key=True),
    _text("data_hash", key=True),
    _integer("seed", key=True),
    _text("objective"),
    _json("recipe"),
    _json("scores"),
    Index("model_version_fit", "recipe_hash", "data_hash", "seed"),
)

prediction = Table(
    "prediction",
    metadata,
    _text("recipe_hash", key=True),
    _text("data_hash", key=True),
    _integer("seed", key=True),
    _text("objective", key=True),
    _text("candidate", key=True),
    _json("body"),
)

lease = Table(
    "lease",
    metadata,
    _text("campaign", ForeignKey("campaign.name"), key=True),
    _text("owner"),
    _text("by"),
    _text("since"),
    _text("until"),
)
"""Who is proposing; the only rows that come and go, for they say what happens now and not what happened."""
