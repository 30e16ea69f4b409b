"""Height and width of artifacts that are not square."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("measurements", sa.Column("image_shape", sa.String(), nullable=True))
