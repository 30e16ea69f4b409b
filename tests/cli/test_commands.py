"""The command line from outside: what goes where, and how each kind of end looks."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

import compress
from compress.cli import guard
from compress.cli.commands import app
from compress.errors import CompressError, GoalMissed, InputError, Unavailable, VerificationError
from compress.recipe.load import load_recipe
from compress.recipe.pass_item import PassItem

COMMANDS = ["apply", "validate", "restore", "train", "convert", "profile", "evaluate", "bench", "card", "verify"]
COMMANDS += ["schema", "doctor", "ls", "ledger", "targets", "compare", "check", "search", "sweep"]


def run(*args: str) -> subprocess.CompletedProcess[str]:
    """``compress args`` in a process of its own."""
    paths = {"PYTHONPATH": str(Path(__file__).parents[2])}  # also when not installed
    settings = {"capture_output": True, "text": True, "env": os.environ | paths}
    return subprocess.run([sys.executable, "-m", "compress", *args], **settings)


def test_help_names_every_command_and_loads_little() -> None:
    """Completion in a shell waits for it at every press of a key."""
    code = (
        "import sys\nbefore = set(sys.modules)\nfrom compress.cli.commands import app\n"
        "app(['--help'], standalone_mode=False)\n"
        "new = {name for name in set(sys.modules) - before if getattr(sys.modules[name], '__file__', None)}\n"
        "loaded = {name.partition('.')[0] for name in new} - set(sys.stdlib_module_names)\n"
        "print(*sorted(loaded), len(new))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert all(re.search(rf"│ {name} ", done.stdout) for name in COMMANDS)
    *loaded, count = done.stdout.splitlines()[-1].split()
    its_own = {"annotated_doc", "attr", "markdown_it", "mdurl", "pygments", "rich", "shellingham", "typer"}
    assert "compress" in loaded and set(loaded) <= its_own | {"compress"}
    assert int(count) < 400, "parts of the product that only some commands need"


@pytest.mark.parametrize("name", ["compress", "elir-compress"])
def test_help_and_completion_use_the_name_that_was_typed(name: str) -> None:
    """Where `compress` is the old Unix tool, a shell must complete `elir-compress`."""
    code = f"import sys; sys.argv = ['/bin/{name}', '--help']; from compress.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert f"Usage: {name} [OPTIONS]" in done.stdout


def test_version() -> None:
    done = run("--version")
    assert (done.returncode, done.stdout) == (0, "elir-compress 0.1.0\n")


def test_usage_errors_end_in_2() -> None:
    for args in (["nonsense"], ["apply"], ["apply", "--nonsense"], ["ls", "nothing"], ["restore", "x", "y"]):
        result = CliRunner().invoke(app, args)
        assert (result.exit_code, result.stdout) == (2, ""), args
        assert "Usage:" in result.stderr
    done = run("nonsense")
    assert (done.returncode, done.stdout) == (2, "") and "Usage:" in done.stderr


def test_validate_a_right_recipe() -> None:
    result = CliRunner().invoke(app, ["validate", "int8_sr"])
    assert (result.exit_code, result.stdout) == (0, "int8_sr: valid\n")


@pytest.mark.parametrize("command", [["validate"], ["apply"], ["apply", "--json", "--dry-run"]])
def test_a_wrong_recipe_gives_one_line_a_mistake(
    tmp_path: Path, command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "version: 1\nname: x\npasses: [{ptqq: {}}]\nexport: {onnx: {}}\nmodel: {image_size: 100}\n"
    (tmp_path / "x.yaml").write_text(text)
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, [*command, "./x.yaml"])
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [
        f"x.yaml:3: passes.0.ptqq: unknown pass, did you mean ptq? (valid: {', '.join(PassItem.model_fields)})",
        "x.yaml:5: model.image_size: must be a multiple of 32, got 100: the nearest are 96 and 128, or add "
        "`padding: inside`",
    ]


def test_a_missing_recipe() -> None:
    done = run("apply", "nowhere/x.yaml")
    looked = Path("nowhere/x.yaml").absolute()
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"nowhere/x.yaml: no such recipe (looked for {looked}): check the path\n"


def test_python_callers_change_a_recipe_themselves() -> None:
    with pytest.raises(InputError, match="overrides and targets are for a recipe's name or path"):
        compress.apply(load_recipe("int8_sr"), overrides=["name=x"])


def test_settings_are_checked_where_they_came_from() -> None:
    done = CliRunner().invoke(app, ["validate", "int8_sr", "--set", "goals.psnr=1"])
    assert done.exit_code == 2
    assert done.stderr.startswith("setting goals.psnr=1: goals.psnr: unknown key, did you mean psnr_drop_db?")


@pytest.mark.parametrize("kind", ["recipes", "calibration", "targets", "models"])
def test_ls_lists_names_and_descriptions(kind: str) -> None:
    result = CliRunner().invoke(app, ["ls", kind])
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert all(len(line.split(maxsplit=1)) == 2 for line in lines)
    assert len({line.index(line.split(maxsplit=1)[1]) for line in lines}) == 1, "descriptions begin in one column"


def test_ls_models_lists_what_can_be_compressed() -> None:
    lines = [" ".join(line.split()) for line in CliRunner().invoke(app, ["ls", "models"]).stdout.splitlines()]
    assert "elir_sr_x4 sr_x4, K = 3, 18.0 MB" in lines
    assert not any(line.startswith(("lpips", "niqe", "tae")) for line in lines)


@pytest.mark.parametrize("kind", ["recipe", "calibration", "target", "train", "sweep"])
def test_schema_prints_json_schema(kind: str) -> None:
    result = CliRunner().invoke(app, ["schema", kind])
    assert json.loads(result.stdout)["additionalProperties"] is False


@pytest.mark.slow
def test_doctor_names_every_runtime() -> None:
    done = run("doctor", "--json")
    facts = {fact["name"]: fact for fact in json.loads(done.stdout)["facts"]}
    assert done.returncode == 0
    assert {"CPU", "int8 features", "memory", "disk here", "torch", "openvino", "onnxruntime"} <= set(facts)
    assert facts["executorch"]["ok"], facts["executorch"]["meaning"]


@pytest.mark.parametrize(
    ("error", "code"),
    [(CompressError, 1), (InputError, 2), (GoalMissed, 3), (Unavailable, 4), (VerificationError, 5)],
)
def test_each_error_has_its_exit_code(error: type[CompressError], code: int, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(typer.Exit) as end, guard.guard(lambda: True):
        raise error("a: rule: next")
    assert end.value.exit_code == code
    assert capsys.readouterr() == ("", "a: rule: next\n")


def test_a_bug_is_one_line_and_a_log(capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COMPRESS_DEBUG", raising=False)
    with pytest.raises(typer.Exit) as end, guard.guard(lambda: True):
        raise KeyError("two\nlines")
    assert end.value.exit_code == 1
    message = capsys.readouterr().err
    match = re.fullmatch(r"KeyError: 'two\\nlines': this is a bug, please report it with (\S+)\n", message)
    assert match, message
    log = Path(match[1])
    assert "Traceback" in log.read_text()
    log.unlink()


def test_debugging_shows_the_traceback(capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMPRESS_DEBUG", "1")
    with pytest.raises(typer.Exit), guard.guard(lambda: True):
        raise KeyError("x")
    message = capsys.readouterr().err
    assert message.startswith("Traceback")
    assert message.endswith("KeyError: 'x': this is a bug, please report it\n")


def test_a_full_disk_is_no_bug(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(typer.Exit) as end, guard.guard(lambda: True):
        raise OSError(28, "No space left on device", "runs/x/model.bin")
    assert end.value.exit_code == 2
    assert capsys.readouterr().err == (
        "runs/x/model.bin: cannot be written or read (No space left on device): free some space there\n"
    )


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (MemoryError(), "out of memory: free some, or lower model.image_size or the tile"),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: 9 bytes"),
            "out of memory (DefaultCPUAllocator: can't",
        ),
        (OSError(27, "File too large", "x.bin"), "x.bin: cannot be written or read (File too large): raise ulimit -f"),
        (
            OSError(5, "Input/output error", "x.bin"),
            "x.bin: cannot be written or read (Input/output error): check the disk",
        ),
        (OSError(24, "Too many open files"), "too many open files (Too many open files): raise the limit (ulimit -n)"),
    ],
)
def test_what_the_machine_lacks_is_no_bug(error: Exception, line: str, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(typer.Exit) as end, guard.guard(lambda: True):
        raise error
    message = capsys.readouterr().err
    assert end.value.exit_code == 2 and message.startswith(line) and len(message.splitlines()) == 1


STARVED = """
import resource
from pathlib import Path
from compress import cli
from compress.recipe import load as recipe
def fail(*args):
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + 2**20 * 16,) * 2)
    raise RuntimeError("could not create a primitive")  # oneDNN's word for it
recipe.load_recipe = fail
sys.argv = ["compress", "apply", "int8_sr"]
cli.main()
"""


def test_what_fails_without_memory_is_put_down_to_that() -> None:
    done = subprocess.run([sys.executable, "-c", "import sys" + STARVED], capture_output=True, text=True)
    assert done.stderr == (
        "out of memory (could not create a primitive): free some, or lower model.image_size or the tile\n"
    )
    assert done.returncode == 2


INTERRUPTED = """
import os, sys, time
import compress.progress
from compress import cli
from compress.cli import yaml_kinds
from compress.recipe import load as recipe
def wait(*args):
    print("ready", flush=True, file=sys.stderr)
    try:
        time.sleep(30)
    except KeyboardInterrupt as error:
        if "WRAPPED" in os.environ:  # torch.export does
            raise RuntimeError("failed to export") from error
        raise
recipe.load_recipe = wait
yaml_kinds.check_file = wait
sys.argv = ["compress", *sys.argv[1].split(), "int8_sr"][:3]
cli.main()
"""


@pytest.mark.parametrize(
    ("number", "command", "code", "line"),
    [
        (signal.SIGINT, "apply", 130, "interrupted: the same command resumes from what is saved"),
        (signal.SIGTERM, "apply", 143, "terminated: the same command resumes from what is saved"),
        (signal.SIGINT, "validate", 130, "interrupted"),
        (signal.SIGINT, "validate apply", 130, "interrupted"),
    ],
)
@pytest.mark.parametrize("wrapped", [{}, {"WRAPPED": "1"}])
def test_interruption(number: signal.Signals, command: str, code: int, line: str, wrapped: dict[str, str]) -> None:
    # A shell's background job ignores SIGINT, and hands that down: a person's terminal does not.
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, command],
        env=os.environ | wrapped,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stderr is not None
    assert process.stderr.readline() == "ready\n"
    process.send_signal(number)
    assert process.stderr.read() == line + "\n"
    assert process.wait(10) == code


IN_FINALIZER = """
import sys, time
from compress import cli
from compress.recipe import load as recipe
class Slow:
    def __del__(self):
        print("ready", flush=True, file=sys.stderr)
        time.sleep(30)
def wait(*args):
    Slow()
    time.sleep(30)
recipe.load_recipe = wait
sys.argv = ["compress", "apply", "int8_sr"]
cli.main()
"""


def test_an_interruption_inside_a_finalizer_is_not_lost() -> None:
    process = subprocess.Popen([sys.executable, "-c", IN_FINALIZER], stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    assert process.stderr.readline() == "ready\n"
    started = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert process.stderr.read() == "terminated: the same command resumes from what is saved\n"
    assert process.wait(10) == 143
    assert time.monotonic() - started < guard.GRACE_S - 0.5  # by the handler, not by the thread that waits so long


IN_NATIVE_CALL = """
import ctypes, sys
from compress import cli
from compress.recipe import load as recipe
def wait(*args):
    # Locking a mutex twice never returns, and no signal ends it; as runtimes do, ctypes lets other threads run.
    libc, mutex = ctypes.CDLL(None), ctypes.create_string_buffer(64)
    libc.pthread_mutex_lock(mutex)
    print("ready", flush=True, file=sys.stderr)
    libc.pthread_mutex_lock(mutex)
recipe.load_recipe = wait
sys.argv = ["compress", "apply", "int8_sr"]
cli.main()
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_native_call_does_not_hold_up_the_end(number: signal.Signals, code: int) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", IN_NATIVE_CALL],
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stderr is not None
    assert process.stderr.readline() == "ready\n"
    started = time.monotonic()
    process.send_signal(number)
    message = process.stderr.read()
    assert process.wait(30) == code
    assert time.monotonic() - started < guard.GRACE_S + 10
    assert message.endswith("ed: the same command resumes from what is saved\n") and len(message.splitlines()) == 1


def test_what_libraries_print_goes_to_stderr() -> None:
    code = (
        "import ctypes, os\nfrom compress.cli.guard import results_only\n"
        "with results_only():\n"
        "    print('python')\n    os.write(1, b'descriptor ')\n    ctypes.CDLL(None).puts(b'c')\n"
        "print('result')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "result\n"
    assert sorted(done.stderr.split()) == ["c", "descriptor", "python"]


def test_a_closed_pipe_is_no_bug() -> None:
    shell = f"{sys.executable} -m compress schema | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True)
    assert "bug" not in done.stderr


def test_a_sweeps_mistakes_end_in_2(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text("version: 1\nname: s\nrecipes: [int8_sr]\nset: {model.seeds: 1}\n")
    done = CliRunner().invoke(app, ["sweep", str(path), "--dry-run"])
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith(f"{path}: setting model.seeds=1: model.seeds: unknown key, did you mean seed?")
    assert CliRunner().invoke(app, ["sweep", "status", "--out", str(tmp_path)]).exit_code == 2
    both = CliRunner().invoke(app, ["sweep", str(path), str(path)])
    assert (both.exit_code, both.stderr) == (2, "sweep: takes one file, got 2: put their recipes into one sweep\n")
