"""What artifacts took for a whole picture and a clip."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

FIGURES = (
    *("picture_megapixels", "picture_megapixels_per_s", "picture_peak_rss_mb", "picture_joules_per_megapixel"),
    *("clip_megapixels_per_s", "clip_peak_rss_mb", "clip_joules_per_megapixel"),
)


def upgrade() -> None:
    for name in FIGURES:
        op.add_column("measurements", sa.Column(name, sa.Double(), nullable=True))
