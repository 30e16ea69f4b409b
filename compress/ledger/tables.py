"""The ledger's tables, by the fields of ``Measurement``; the migrations make them so, which a test compares."""

from typing import Annotated, Any, get_args, get_origin

from sqlalchemy import JSON, BigInteger, Column, Double, ForeignKey, Index, MetaData, String, Table

from compress.results.measurement import DETAILS, Measurement

TYPES: dict[Any, Any] = {int: BigInteger, float: Double}
FILTERED = ("target", "task", "recipe", "artifact", "dataset")


def _column(name: str) -> Column[Any]:
    annotation = Measurement.model_fields[name].annotation
    nullable = type(None) in get_args(annotation)
    kind = get_args(annotation)[0] if nullable else annotation
    if get_origin(kind) is Annotated:  # with its range
        kind = get_args(kind)[0]
    # What is neither is a text with a rule of its own.
    return Column(name, TYPES.get(kind, String), nullable=nullable)


metadata = MetaData()
measurements = Table(
    "measurements",
    metadata,
    Column("id", String, primary_key=True),
    *(_column(name) for name in Measurement.model_fields if name not in DETAILS),
)
# Newest first, of all and within each filter, without sorting.
Index("measurements_created", measurements.c.created, measurements.c.id)
for _name in FILTERED:
    Index(f"measurements_{_name}", measurements.c[_name], measurements.c.created, measurements.c.id)
Index("measurements_run", measurements.c.run)
details = Table(
    "details",
    metadata,
    Column("id", String, ForeignKey("measurements.id"), primary_key=True),
    *(Column(name, JSON(none_as_null=True), nullable=name == "pictures") for name in DETAILS),
)
