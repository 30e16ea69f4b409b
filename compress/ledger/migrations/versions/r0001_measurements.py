"""Measurements and their details, to which rows can only be added."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

TABLES = ("measurements", "details")
REFUSAL = "the ledger is append-only"


def upgrade() -> None:
    op.create_table(
        "measurements",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("created", sa.String(), nullable=False),
        sa.Column("run", sa.String(), nullable=False),
        sa.Column("command", sa.String(), nullable=False),
        sa.Column("recipe", sa.String(), nullable=False),
        sa.Column("task", sa.String(), nullable=False),
        sa.Column("artifact", sa.String(), nullable=False),
        sa.Column("format", sa.String(), nullable=False),
        sa.Column("precision", sa.String(), nullable=False),
        sa.Column("engine", sa.String(), nullable=True),
        sa.Column("image_size", sa.BigInteger(), nullable=True),
        sa.Column("k_steps", sa.BigInteger(), nullable=True),
        sa.Column("target", sa.String(), nullable=True),
        sa.Column("dataset", sa.String(), nullable=True),
        sa.Column("evidence", sa.String(), nullable=False),
        sa.Column("protocol", sa.String(), nullable=True),
        sa.Column("threads", sa.BigInteger(), nullable=True),
        sa.Column("cpu", sa.String(), nullable=True),
        sa.Column("artifact_sha256", sa.String(), nullable=False),
        sa.Column("files_sha256", sa.String(), nullable=False),
        sa.Column("weights_sha256", sa.String(), nullable=False),
        sa.Column("recipe_sha256", sa.String(), nullable=False),
        sa.Column("data_sha256", sa.String(), nullable=True),
        sa.Column("calibration_sha256", sa.String(), nullable=True),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("size_ratio", sa.Double(), nullable=True),
        sa.Column("macs", sa.BigInteger(), nullable=True),
        sa.Column("latency_p50_ms", sa.Double(), nullable=True),
        sa.Column("latency_p90_ms", sa.Double(), nullable=True),
        sa.Column("latency_mean_ms", sa.Double(), nullable=True),
        sa.Column("latency_n", sa.BigInteger(), nullable=True),
        sa.Column("first_inference_ms", sa.Double(), nullable=True),
        sa.Column("load_ms", sa.Double(), nullable=True),
        sa.Column("peak_rss_mb", sa.Double(), nullable=True),
        sa.Column("throughput", sa.Double(), nullable=True),
        sa.Column("speedup_vs_fp32", sa.Double(), nullable=True),
        sa.Column("speedup_vs_best_float", sa.Double(), nullable=True),
        sa.Column("n", sa.BigInteger(), nullable=True),
        sa.Column("psnr_db", sa.Double(), nullable=True),
        sa.Column("psnr_y_db", sa.Double(), nullable=True),
        sa.Column("ssim", sa.Double(), nullable=True),
        sa.Column("lpips", sa.Double(), nullable=True),
        sa.Column("color_shift", sa.Double(), nullable=True),
        sa.Column("psnr_drop_db", sa.Double(), nullable=True),
        sa.Column("ssim_drop", sa.Double(), nullable=True),
        sa.Column("lpips_rise", sa.Double(), nullable=True),
        sa.Column("fidelity_db", sa.Double(), nullable=True),
        sa.Column("color_shift_vs_fp32", sa.Double(), nullable=True),
        sa.Column("bundle", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("measurements_artifact", "measurements", ["artifact", "created", "id"], unique=False)
    op.create_index("measurements_created", "measurements", ["created", "id"], unique=False)
    op.create_index("measurements_dataset", "measurements", ["dataset", "created", "id"], unique=False)
    op.create_index("measurements_recipe", "measurements", ["recipe", "created", "id"], unique=False)
    op.create_index("measurements_run", "measurements", ["run"], unique=False)
    op.create_index("measurements_target", "measurements", ["target", "created", "id"], unique=False)
    op.create_index("measurements_task", "measurements", ["task", "created", "id"], unique=False)
    op.create_table(
        "details",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("versions", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("machine", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("pictures", sa.JSON(none_as_null=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["id"],
            ["measurements.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    if op.get_bind().dialect.name == "postgresql":
        _append_only_postgresql()
    else:
        _append_only_sqlite()


def _append_only_sqlite() -> None:
    for table in TABLES:
        for change in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_no_{change.lower()} BEFORE {change} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END"
            )


def _append_only_postgresql() -> None:
    op.execute(
        "CREATE FUNCTION ledger_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{REFUSAL}'; END $$"
    )
    for table in TABLES:
        op.execute(
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION ledger_append_only()"
        )
