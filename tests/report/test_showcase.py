from typing import Any

from compress.report.showcase import showcase
from compress.results.document import Results

SAMPLES = {"astronaut": ["degraded", "openvino-int8", "clean"], "coffee": ["degraded", "openvino-int8", "clean"]}


def test_best_and_worst_of_the_samples_with_their_place_in_the_set(results: Results) -> None:
    well, badly = showcase(results, "openvino-int8", SAMPLES)
    assert (well.title, well.index, well.labels) == ("What the model does well", 0, tuple(SAMPLES["astronaut"]))
    assert well.caption == (
        "astronaut: the 2nd best of 4 pictures by LPIPS (0.1910, 0.2225 on average; lower is better)"
    )
    assert (badly.title, badly.index) == ("What it does not do well", 1)
    assert badly.caption.startswith("coffee: the worst of 4 pictures by LPIPS (0.2910, ")


def test_without_lpips_the_psnr_decides(document: dict[str, Any]) -> None:
    for row in document["quality"]:
        for picture in row["pictures"]:
            picture["lpips"] = None
    well, badly = showcase(Results.model_validate(document), "openvino-int8", SAMPLES)
    assert well.caption.startswith("astronaut: the 2nd best of 4 pictures by PSNR (26.61 dB, ")
    assert badly.caption.startswith("coffee: the worst") and badly.caption.endswith("higher is better)")


def test_one_sample_or_no_scores_show_nothing(results: Results) -> None:
    assert showcase(results, "openvino-int8", {"astronaut": ["degraded"]}) == []
    assert showcase(results, "none", SAMPLES) == [] == showcase(results, None, SAMPLES)
    for row in results.quality:
        row.pictures = []
    assert showcase(results, "openvino-int8", SAMPLES) == []
