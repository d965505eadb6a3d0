"""notes"""

import sqlalchemy as sa
from alembic import op

revision = "4b7f21c9e803"
down_revision = None
branch_labels = None
depends_on = None


def upgrade():
    op.create_table("notes", sa.Column("id", sa.Integer(), primary_key=True), sa.Column("message", sa.String(280), nullable=False))


def downgrade():
    op.drop_table("notes")
