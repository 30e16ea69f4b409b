import pytest

from compress.report.plot import BOTTOM, HEIGHT, LEFT, TOP, WIDTH, plots
from compress.results.document import Results


def test_points_stand_where_their_figures_say(results: Results) -> None:
    speed, size = plots(results)
    places = {point.id: point for point in speed.points}
    assert places["openvino-int8"].x < places["openvino-fp32"].x < places["executorch-fp32"].x
    assert places["openvino-int8"].y > places["openvino-fp32"].y, "a lower PSNR stands lower on the page"
    assert places["openvino-int8"].radius < places["openvino-fp16"].radius < places["openvino-fp32"].radius
    assert all(LEFT <= p.x <= WIDTH and TOP <= p.y <= HEIGHT - BOTTOM for p in speed.points + size.points)


def test_goal_is_a_line_between_met_and_missed(results: Results) -> None:
    size = plots(results)[1]
    places = {point.id: point.y for point in size.points}
    assert size.bound is not None and size.bound.text == "goal 39.5 dB"
    assert places["onnx-int8"] < size.bound.top < places["executorch-int8"]


def test_artifacts_without_figures_are_named_not_placed(results: Results) -> None:
    speed = plots(results)[0]
    assert speed.absent == ["executorch-fp16", "onnx-int8-tensorrt"]
    assert not {point.id for point in speed.points} & set(speed.absent)


def test_ticks_are_round_and_span_the_axis(results: Results) -> None:
    for plot in plots(results):
        for axis in (plot.x, plot.y):
            assert axis.ticks[0].at == axis.start and axis.ticks[-1].at == pytest.approx(axis.end)
            assert 3 <= len(axis.ticks) <= 9
            assert [float(tick.text) for tick in axis.ticks] == pytest.approx(
                [axis.low + i * axis.step for i in range(len(axis.ticks))]
            )


def test_equal_figures_still_make_an_axis(results: Results) -> None:
    for row in results.quality:
        row.psnr_db, row.fidelity_db = 26.0, 40.0
    speed, size = plots(results)
    assert speed.y.high - speed.y.low >= 0.3 and size.y.high - size.y.low >= 5, "what nobody sees is not blown up"


def test_what_nobody_sees_is_a_band_below_fp32(results: Results) -> None:
    speed, size = plots(results)
    assert speed.band is not None and speed.band.text == "not visible: under 0.1 dB" and size.band is None
    places = {point.id: point.y for point in speed.points}
    assert speed.band.top == pytest.approx(places["openvino-fp32"])
    assert speed.band.bottom == pytest.approx(speed.y.at(26.31 - 0.1))
    assert speed.band.top < places["executorch-int8"] < speed.band.bottom


def test_without_figures_there_is_no_plot() -> None:
    artifact = {"id": "a", "format": "onnx", "precision": "int8", "entry": "a.onnx", "bytes": 0}
    assert plots(Results.model_validate({"schema_version": 1, "artifacts": [artifact]})) == []


def test_labels_cover_nothing(results: Results) -> None:
    for plot in plots(results):
        boxes = [
            (p.label_x, p.label_y - 11, p.label_x + 7 * len(p.id), p.label_y + 2)
            for p in plot.points
            if p.label_x == p.label_x
        ]
        assert len(boxes) >= 4
        for i, (a, b, c, d) in enumerate(boxes):
            assert all(c <= e or g <= a or d <= f or h <= b for e, f, g, h in boxes[i + 1 :])
