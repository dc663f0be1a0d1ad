"""The lease: who is proposing a batch in a campaign, and until when."""

from alembic import op
from sqlalchemy import Column, ForeignKeyConstraint, PrimaryKeyConstraint, Text

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create its table, which is no part of the ledger."""
    op.create_table(
        "lease",
        Column("campaign", Text, nullable=False),
        Column("owner", Text, nullable=False),
        Column("by", Text, nullable=False),
        Column("since", Text, nullable=False),
        Column("until", Text, nullable=False),
        PrimaryKeyConstraint("campaign"),
        ForeignKeyConstraint(["campaign"], ["campaign.name"]),
    )
