"""notes"""

import sqlalchemy as sa
from alembic import op

revision = "8e51b7c0d2aa"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table("notes", sa.Column("id", sa.Integer, primary_key=True), sa.Column("message", sa.String, nullable=False))


def downgrade() -> None:
    op.drop_table("notes")
