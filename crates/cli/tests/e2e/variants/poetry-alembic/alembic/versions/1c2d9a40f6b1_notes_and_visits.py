"""notes and visits"""

import sqlalchemy as sa
from alembic import op

revision = "1c2d9a40f6b1"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table("notes", sa.Column("id", sa.Integer, primary_key=True), sa.Column("message", sa.Text, nullable=False))
    op.create_table("visits", sa.Column("page", sa.Text, primary_key=True), sa.Column("count", sa.Integer, nullable=False))


def downgrade() -> None:
    op.drop_table("visits")
    op.drop_table("notes")
