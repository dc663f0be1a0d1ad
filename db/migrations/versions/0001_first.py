"""The first tables: the ledger of a campaign, its candidates, and the caches."""

from alembic import op
from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    ForeignKeyConstraint,
    LargeBinary,
    PrimaryKeyConstraint,
    Text,
    UniqueConstraint,
)

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create every table."""
    op.create_table(
        "campaign",
        Column("name", Text, nullable=False),
        Column("created_at", Text, nullable=False),
        PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "event",
        Column("campaign", Text, nullable=False),
        Column("seq", BigInteger, nullable=False, autoincrement=False),
        Column("kind", Text, nullable=False),
        Column("payload", Text, nullable=False),
        Column("by", Text, nullable=False),
        Column("at", Text, nullable=False),
        Column("prev_hash", Text, nullable=False),
        Column("hash", Text, nullable=False),
        Column("hash_version", BigInteger, nullable=False),
        PrimaryKeyConstraint("campaign", "seq"),
        ForeignKeyConstraint(["campaign"], ["campaign.name"]),
        UniqueConstraint("campaign", "prev_hash", name="event_prev_hash"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "source",
        Column("sha256", Text, nullable=False),
        Column("name", Text, nullable=False),
        Column("content", LargeBinary, nullable=False),
        PrimaryKeyConstraint("sha256"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "candidate",
        Column("id", Text, nullable=False),
        Column("design", Text, nullable=False),
        Column("stratum", Text, nullable=False),
        PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "spec_revision",
        Column("id", Text, nullable=False),
        Column("campaign", Text, nullable=False),
        Column("revision", BigInteger, nullable=False),
        Column("spec", Text, nullable=False),
        Column("sources", Text, nullable=False),
        Column("reason", Text),
        Column("seq", BigInteger, nullable=False),
        Column("position", BigInteger, nullable=False),
        PrimaryKeyConstraint("id"),
        ForeignKeyConstraint(["campaign"], ["campaign.name"]),
        ForeignKeyConstraint(["campaign", "seq"], ["event.campaign", "event.seq"]),
        UniqueConstraint("campaign", "revision", name="spec_revision_revision"),
        sqlite_with_rowid=False,
    )
    op.create_index("spec_revision_order", "spec_revision", ["campaign", "seq", "position"])
    op.create_table(
        "batch",
        Column("id", Text, nullable=False),
        Column("campaign", Text, nullable=False),
        Column("number", BigInteger, nullable=False),
        Column("spec_revision", BigInteger, nullable=False),
        Column("snapshot", Text, nullable=False),
        Column("code_version", Text, nullable=False),
        Column("seed", BigInteger, nullable=False),
        Column("settings", Text, nullable=False),
        Column("seq", BigInteger, nullable=False),
        Column("position", BigInteger, nullable=False),
        PrimaryKeyConstraint("id"),
        ForeignKeyConstraint(["campaign"], ["campaign.name"]),
        ForeignKeyConstraint(["campaign", "seq"], ["event.campaign", "event.seq"]),
        ForeignKeyConstraint(["campaign", "spec_revision"], ["spec_revision.campaign", "spec_revision.revision"]),
        UniqueConstraint("campaign", "number", name="batch_number"),
        sqlite_with_rowid=False,
    )
    op.create_index("batch_order", "batch", ["campaign", "seq", "position"])
    op.create_table(
        "recommendation",
        Column("id", Text, nullable=False),
        Column("campaign", Text, nullable=False),
        Column("batch", Text, nullable=False),
        Column("rank", BigInteger, nullable=False),
        Column("label", Text, nullable=False),
        Column("candidate", Text, nullable=False),
        Column("design", Text, nullable=False),
        Column("stratum", Text, nullable=False),
        Column("prediction", Text, nullable=False),
        Column("rationale", Text, nullable=False),
        Column("seq", BigInteger, nullable=False),
        Column("position", BigInteger, nullable=False),
        PrimaryKeyConstraint("id"),
        ForeignKeyConstraint(["campaign"], ["campaign.name"]),
        ForeignKeyConstraint(["campaign", "seq"], ["event.campaign", "event.seq"]),
        ForeignKeyConstraint(["batch"], ["batch.id"]),
        ForeignKeyConstraint(["candidate"], ["candidate.id"]),
        UniqueConstraint("campaign", "label", name="recommendation_label"),
        sqlite_with_rowid=False,
    )
    op.create_index("recommendation_order", "recommendation", ["campaign", "seq", "position"])
    op.create_table(
        "sample",
        Column("id", Text, nullable=False),
        Column("campaign", Text, nullable=False),
        Column("label", Text, nullable=False),
        Column("candidate", Text, nullable=False),
        Column("design", Text, nullable=False),
        Column("stratum", Text, nullable=False),
        Column("recommendation", Text),
        Column("seq", BigInteger, nullable=False),
        Column("position", BigInteger, nullable=False),
        PrimaryKeyConstraint("id"),
        ForeignKeyConstraint(["campaign"], ["campaign.name"]),
        ForeignKeyConstraint(["campaign", "seq"], ["event.campaign", "event.seq"]),
        ForeignKeyConstraint(["candidate"], ["candidate.id"]),
        ForeignKeyConstraint(["recommendation"], ["recommendation.id"]),
        UniqueConstraint("campaign", "label", name="sample_label"),
        sqlite_with_rowid=False,
    )
    op.create_index("sample_order", "sample", ["campaign", "seq", "position"])
    op.create_table(
        "measurement",
        Column("id", Text, nullable=False),
        Column("campaign", Text, nullable=False),
        Column("sample", Text, nullable=False),
        Column("metric", Text, nullable=False),
        Column("value", Double),
        Column("unit", Text),
        Column("sd", Double),
        Column("qualifier", Text, nullable=False),
        Column("replicate", Text),
        Column("composition", Text),
        Column("conditions", Text, nullable=False),
        Column("source", Text),
        Column("cell", Text),
        Column("supersedes", Text),
        Column("reason", Text),
        Column("seq", BigInteger, nullable=False),
        Column("position", BigInteger, nullable=False),
        PrimaryKeyConstraint("id"),
        ForeignKeyConstraint(["campaign"], ["campaign.name"]),
        ForeignKeyConstraint(["campaign", "seq"], ["event.campaign", "event.seq"]),
        ForeignKeyConstraint(["sample"], ["sample.id"]),
        ForeignKeyConstraint(["source"], ["source.sha256"]),
        ForeignKeyConstraint(["supersedes"], ["measurement.id"]),
        sqlite_with_rowid=False,
    )
    op.create_index("measurement_order", "measurement", ["campaign", "seq", "position"])
    op.create_index("measurement_supersedes", "measurement", ["supersedes"])
    op.create_table(
        "model_version",
        Column("campaign", Text, nullable=False),
        Column("recipe_hash", Text, nullable=False),
        Column("data_hash", Text, nullable=False),
        Column("seed", BigInteger, nullable=False, autoincrement=False),
        Column("objective", Text, nullable=False),
        Column("recipe", Text, nullable=False),
        Column("scores", Text, nullable=False),
        PrimaryKeyConstraint("campaign", "recipe_hash", "data_hash", "seed"),
        ForeignKeyConstraint(["campaign"], ["campaign.name"]),
    )
    op.create_index("model_version_fit", "model_version", ["recipe_hash", "data_hash", "seed"])
    op.create_table(
        "prediction",
        Column("recipe_hash", Text, nullable=False),
        Column("data_hash", Text, nullable=False),
        Column("seed", BigInteger, nullable=False, autoincrement=False),
        Column("objective", Text, nullable=False),
        Column("candidate", Text, nullable=False),
        Column("body", Text, nullable=False),
        PrimaryKeyConstraint("recipe_hash", "data_hash", "seed", "objective", "candidate"),
    )
