"""Artifacts on emulated ARM cores: exact outputs and instruction counts, no time."""

import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compress import __version__
from compress.artifacts.inspect.external_data import files_beside
from compress.artifacts.runtime.base import format_of
from compress.cache import cache_folder
from compress.errors import Unavailable, VerificationError
from compress.files import sha256_file, sha256_text, whole_file
from compress.targets.entries import Pictures
from compress.targets.job import INPUTS, Job, JobArtifact
from compress.targets.runner_archive import NAME, runner_archive, runner_sha256
from compress.targets.tools.arm_emulator import ArmEmulator

if TYPE_CHECKING:
    import numpy as np

LIMIT_S = 4 * 3600.0  # a float picture of 256 px takes ten minutes of one core
TICK_S = 5.0
Note = Callable[[str], None]
Counts = dict[str, int]


@dataclass(frozen=True)
class EmulatorResult:
    """What ran: outputs (N, 3, H, W) float32 or (N, H, W, 3) uint8, as the artifact gives them, instructions of one
    inference by class, the runtime's own facts."""

    outputs: "np.ndarray"
    instructions: Counts
    facts: Mapping[str, Any]


@dataclass(frozen=True)
class Emulator:
    """An emulated core that runs artifacts of one runtime; ``options`` are the runtime's."""

    cpu: str
    runtime: str
    options: Mapping[str, Any]
    tool: ArmEmulator

    def run(self, artifact: Path, pictures: Pictures, note: Note) -> EmulatorResult:
        """Run ``artifact`` on pictures lq (N, H, W, 3) uint8, or image (N, h, w, 3), with noise (N, 16, H/8, W/8).

        Everything is deterministic: what the same emulator ran before is taken from the cache folder.
        Raises Unavailable when it cannot run there, VerificationError when the artifact fails there.
        """
        import numpy as np

        kept = cache_folder() / "emulated" / f"{self._key(artifact, pictures)}.npz"
        if kept.exists():
            note("run before: from the cache folder")
        else:
            with tempfile.TemporaryDirectory(prefix="compress-emulate-") as folder:
                run = self._native if self.runtime == "executorch" else self._python
                result = run(Path(folder), artifact, pictures, note)
            with whole_file(kept) as part:
                facts = json.dumps([result.instructions, dict(result.facts)])
                np.savez_compressed(part, outputs=result.outputs, facts=np.array(facts))
        with np.load(kept) as stored:
            instructions, facts = json.loads(str(stored["facts"]))
            return EmulatorResult(stored["outputs"], instructions, facts)

    def _key(self, artifact: Path, pictures: Pictures) -> str:
        inputs = sha256_text("".join(values.tobytes().hex() for values in pictures.values()))
        # An edited runner makes other inputs or outputs of the same files: what the old one made must not be found.
        weights = sorted(files_beside(artifact, format_of(artifact)).values())
        files = [sha256_file(artifact), *map(sha256_file, weights), runner_sha256()]
        parts = [__version__, self.cpu, self.runtime, dict(self.options), self.tool.folder.name, *files, inputs]
        return sha256_text(json.dumps(parts))[:32]

    def _python(self, folder: Path, artifact: Path, pictures: Pictures, note: Note) -> EmulatorResult:
        """Run an artifact by the device runner, under the emulated Python."""
        import numpy as np

        np.savez(folder / INPUTS, **pictures)  # type: ignore[arg-type]
        artifacts = {"it": JobArtifact(entry=str(artifact.absolute()))}
        job = Job(artifacts=artifacts, runtime=self.runtime, threads=1, options=dict(self.options))
        (folder / "job.json").write_text(job.model_dump_json())
        (folder / NAME).write_bytes(runner_archive())
        command = [*self._emulate(folder), str(self.tool.python), "-S", str(folder / NAME), "count", str(folder), "it"]
        answer, instructions = self._watch(command, b"", folder, note)
        facts = json.loads(answer)
        if "error" in facts:
            raise VerificationError(f"emulated {self.cpu}: {facts['error']['message']}")
        return EmulatorResult(np.load(folder / "output-it.npy"), instructions, facts)

    def _native(self, folder: Path, artifact: Path, pictures: Pictures, note: Note) -> EmulatorResult:
        """Run an artifact by ExecuTorch's native runner."""
        import numpy as np

        from compress.targets.runner.accuracy import output_form, picture

        commands = []
        each = [picture(pictures, i) for i in range(len(pictures["noise"]))]
        for i, inputs in enumerate(each):
            for name, values in inputs.items():
                values.tofile(folder / f"{name}{i}")
            given = " ".join(f"{folder}/{name}{i}" for name in inputs)
            commands += [f"in {given}", "run", f"out {folder}/made{i}"]
        command = [*self._emulate(folder), str(self.tool.executorch_runner), str(artifact.absolute()), "1"]
        answer, instructions = self._watch(command, "\n".join(commands).encode(), folder, note)
        if error := next((line for line in answer.splitlines() if line.startswith("error")), None):
            raise VerificationError(f"emulated {self.cpu}: {artifact}: {error.removeprefix('error ')}")
        shape, dtype = output_form(each[0], pictures["lq"][0].size)
        outputs = [np.fromfile(folder / f"made{i}", dtype) for i in range(len(each))]
        if any(output.size != np.prod(shape) for output in outputs):
            raise VerificationError(f"emulated {self.cpu}: {artifact}: gives another shape than {shape}: do not use it")
        outputs = [output.reshape(shape)[0] for output in outputs]
        return EmulatorResult(np.stack(outputs), instructions, {"threads": 1})

    def _emulate(self, folder: Path) -> list[str]:
        return self.tool.emulate(self.cpu, folder / "root")

    def _watch(self, command: list[str], feed: bytes, folder: Path, note: Note) -> tuple[str, Counts]:
        """What the emulated program printed, and the instructions of its last marked region."""
        paths = [folder / name for name in ("stdin", "stdout", "stderr")]
        paths[0].write_bytes(feed)
        with paths[0].open("rb") as stdin, paths[1].open("wb") as stdout, paths[2].open("wb") as stderr:
            environment = {**os.environ, **self.tool.environment}
            process = subprocess.Popen(command, stdin=stdin, stdout=stdout, stderr=stderr, env=environment)
            try:
                self._wait(process, note)
            finally:
                process.kill()
                process.wait()
        lines = paths[2].read_text(errors="replace").splitlines()
        if process.returncode and not paths[1].read_bytes().strip():
            why = "an illegal instruction" if process.returncode == -signal.SIGILL else (lines or ["no message"])[-1]
            raise VerificationError(f"emulated {self.cpu}: ended with {process.returncode} ({why})")
        marks = [json.loads(line.removeprefix("insn ")) for line in lines if line.startswith("insn {")]
        inside = [mark for mark in marks if mark.pop("mark") == 2]
        if not inside:
            raise Unavailable(
                f"emulated {self.cpu}: no instruction was counted: delete {self.tool.folder}, set up again"
            )
        return paths[1].read_text(errors="replace"), inside[-1]

    def _wait(self, process: "subprocess.Popen[bytes]", note: Note) -> None:
        started = time.monotonic()
        while True:
            try:
                process.wait(TICK_S)
                return
            except subprocess.TimeoutExpired:
                seconds = time.monotonic() - started
                note(f"emulated for {seconds:.0f} s")
                if seconds > LIMIT_S:
                    raise Unavailable(f"emulated {self.cpu}: not done after {LIMIT_S:.0f} s") from None
