"""The page's table of what was tried when goals were missed."""

from compress.report.fallback import fallback
from compress.results.document import Results

TRIED = [
    {
        "step": "raise_bits",
        "changed": "bits of dec.layers.6 4 -> 8",
        "missed_before": ["fidelity_db of onnx-int8 39.1, bound 42", "psnr_drop_db of onnx-int8 0.3, bound 0.1"],
        "missed_after": [],
        "kept": True,
        "seconds": 93.44,
    },
    {"step": "float_stage", "skipped": "the budget of 30 minutes is spent"},
]


def test_a_row_a_step() -> None:
    sheet = fallback(Results.model_validate({"schema_version": 1, "fallback": TRIED}))
    assert sheet is not None
    texts = [[cell.text for cell in row] for row in sheet.rows]
    assert texts[0] == ["raise_bits", "bits of dec.layers.6 4 -> 8", "2", "0", "93.4", "kept"]
    assert texts[1][1] == "the budget of 30 minutes is spent" and texts[1][-1] == "not tried"
    assert all(len(row) == len(sheet.headings) for row in sheet.rows)


def test_nothing_was_tried() -> None:
    assert fallback(Results(schema_version=1)) is None
