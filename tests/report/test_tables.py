import io

from rich.console import Console
from rich.table import Table

from compress.report import goals_table, results_table
from compress.report.sheets import performance
from compress.results.document import Results
from compress.results.machine import BusyProcess, Machine


def _printed(table: Table, width: int = 110) -> list[str]:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(table)
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined]


def _line(lines: list[str], name: str) -> list[str]:
    return next(line for line in lines if line.strip().startswith(name)).split()


def test_results_table_has_one_row_an_artifact(results: Results) -> None:
    lines = _printed(results_table(results))
    assert _line(lines, "openvino-int8") == [
        "openvino-int8", "9.61", "26.4", "26.28", "+0.031", "0.2225", "+0.0015", "41.2", "0.12", "571", "2.07x", "met",
    ]  # fmt: skip
    assert [*_line(lines, "executorch-int8")[-3:]] == ["2.30x", "3", "missed"]
    assert sum(line.strip().startswith(("openvino-", "onnx-", "executorch-")) for line in lines) == 10


def test_results_table_fits_110_columns_uncut(results: Results) -> None:
    results.artifacts[5].id = "onnx-int8-tensorrt-of-a-very-long-name"
    for row in results.performance:
        if row.latency_ms and row.latency_ms.p50:
            row.latency_ms.p50 *= 10
    lines = _printed(results_table(results))
    assert max(map(len, lines)) <= 110
    assert "…" not in "".join(lines)


def test_null_figures_are_dashes(results: Results) -> None:
    row = _line(_printed(results_table(results)), "onnx-int8-tensorrt")
    assert row == ["onnx-int8-tensorrt", "9.51", "26.4", *["-"] * 9]


def test_tables_of_empty_results_say_so() -> None:
    lines = _printed(results_table(Results(schema_version=1, name="empty", task="sr_x4")))
    assert "quality not measured, speed not measured" in " ".join(lines)
    assert len(_printed(goals_table([]))) >= 1


def test_names_are_not_read_as_markup(results: Results) -> None:
    results.name = "[red]name[/red]"
    results.goals[0].artifact = "[bold]id"
    assert "[red]name[/red]" in " ".join(_printed(results_table(results)))
    assert "[bold]id" in " ".join(_printed(goals_table(results.goals)))


def test_goals_table_tells_value_bound_and_state(results: Results) -> None:
    results.goals[1].value, results.goals[1].met = None, False
    lines = [" ".join(line.split()) for line in _printed(goals_table(results.goals))]
    assert "psnr_drop_db openvino-int8 photos_validation <= 0.050 dB 0.031 dB met" in lines
    assert "lpips_rise openvino-int8 photos_validation <= 0.0050 - not measured" in lines
    assert "fidelity_db executorch-int8 kodak >= 39.5 dB 39.4 dB MISSED" in lines
    assert "size_ratio onnx-int8 - <= 27.0 % 26.4 % met" in lines
    assert "speedup executorch-int8 - >= 2.00x 2.30x met" in lines
    assert max(map(len, _printed(goals_table(results.goals)))) <= 110


def test_what_was_not_measured_is_a_dash(results: Results) -> None:
    results.quality[2].fidelity_db = None
    assert _line(_printed(results_table(results)), "openvino-int8")[7] == "-"


def test_figures_of_a_busy_machine_are_marked(results: Results) -> None:
    timed = next(entry for entry in results.performance if entry.latency_ms)
    busy = Machine(busy=[BusyProcess(name="chrome", cores=1.3)])
    marked = timed.model_copy(update={"machine": busy, "evidence": "measured"})
    others = [entry.model_copy(update={"machine": None}) for entry in results.performance if entry is not timed]
    changed = results.model_copy(update={"performance": [marked, *others]})
    text = "\n".join(_printed(results_table(changed)))
    assert text.count("*") == 2, "the figure, and the note below the table"
    assert "* measured while other processes took 1.3 cores (chrome)" in text
    words = [cell.text for row in performance(changed).rows for cell in row]
    assert words.count("measured, while others took 1.3 cores (chrome)") == 1
