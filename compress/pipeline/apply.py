"""`compress apply`: a plan, checked before anything heavy; then the run, its fallback, its rows in the ledger."""

from collections.abc import Sequence

from compress.artifacts.artifact import Artifact
from compress.artifacts.backends import BACKENDS
from compress.errors import InputError
from compress.files import check_room
from compress.folders import STAGES, Owner, check_folder, claimed
from compress.ledger.record import record_apply
from compress.pipeline.check_passes import refuse_passes
from compress.pipeline.context import RunContext
from compress.pipeline.dry_run import Plan
from compress.pipeline.fallback import fall_back
from compress.pipeline.inputs import Inputs
from compress.pipeline.quality import sample_path
from compress.pipeline.recipe_targets import load_targets
from compress.pipeline.result import ApplyResult
from compress.pipeline.run import Run
from compress.pipeline.write_bundle import owner_before, owner_of, unchanged
from compress.recipe.deploy_target import DeployTarget
from compress.refusals import Refusals
from compress.targets.bench import check_target, missing_tool
from compress.targets.tools.ethos_u_vela import EthosUVela


def plan(
    context: RunContext, source: str | None = None, settings: Sequence[str] = (), *, dry_run: bool = False
) -> Plan:
    """What ``apply`` will do. ``source`` (a name or path) and ``settings`` say where the recipe came from.

    Raises InputError, a line for each mistake in data, weights, artifacts and targets; and for a folder that is not to
    be written into, which a ``dry_run`` only tells: a bundle of another recipe is replaced only when the context does
    not resume.
    """
    recipe, out = context.recipe, context.folder
    if not dry_run:
        check_folder(out, Owner("bundle", recipe.name))  # before pictures are read
    refusals = Refusals()
    with refusals.gathered():
        _ = context.inputs
    with refusals.gathered():
        _ = context.planned
    targets = load_targets(recipe, refusals)
    refusals.refuse()
    refuse_passes(context)
    context = context.measured_on(targets)
    inputs, planned = context.inputs, context.planned
    missing = {target.name: why for target in targets if (why := missing_tool(target))}
    owner, before = owner_of(inputs, out, source, settings), owner_before(out, inputs)
    refused = ""
    try:
        check_folder(out, owner, fresh=not context.resume, before=before)
        check_room(out, _long_names(planned, inputs, targets))
    except InputError as error:
        if not dry_run:
            raise
        refused = str(error)
    return Plan(context, targets, missing, owner, before, refused)


def apply(plan: Plan) -> ApplyResult:
    """Do what was planned. A run that was stopped goes on at the last finished stage; an unchanged one is only checked.

    Raises Unavailable for a device that is not here; where only the tool that stands in for one is not set up, the
    bundle is made, and says so.
    """
    context = plan.context
    say, out = context.progress.say, context.folder
    for target in plan.targets:
        if target.name not in plan.missing:
            check_target(target)
    for backend in {artifact.backend for artifact in context.planned}:
        if backend == "ethos_u":
            EthosUVela().enable()
        BACKENDS[backend].require()
    for why in plan.missing.values():
        say(f"{why}. The bundle is made without it")
    for note in (
        note for pictures in (context.inputs.calibration, *context.inputs.validation) for note in pictures.notes
    ):
        say(note)
    with claimed(out, plan.owner, say, fresh=not context.resume, before=plan.before):
        if context.resume and (results := unchanged(context)):
            record_apply(out, say)  # adds nothing, unless the run was killed before it could
            return ApplyResult(out, results, reused=True)
        results = Run(context, plan.targets).run()
        if context.recipe.fallback is not None and not results.goals_met:
            results = fall_back(context, results, lambda changed: Run(changed, plan.targets).run())
        record_apply(out, say)
    return ApplyResult(out, results, reused=False)


def _long_names(planned: Sequence[Artifact], inputs: Inputs, targets: Sequence[DeployTarget]) -> list[str]:
    """The files of a run with the longest names."""
    sample, simulated = inputs.validation[0].longest_name, [f"simulated-{a.id}" for a in planned]
    names = [sample_path(sample, kind) for kind in ("degraded", "clean", *simulated)]
    names += [f"{STAGES}/quality-{a.format}-{s.name}-{a.shape_text}.json" for a in planned for s in inputs.validation]
    names += [f"{STAGES}/speed-{target.name}.json" for target in targets]
    names += [file for a in planned for file in a.files]
    beside = [f".fallback/9-reconstruct/{name}" for name in names] if inputs.recipe.fallback else []
    return [*names, *beside]
