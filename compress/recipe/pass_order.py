"""The orders in which passes may stand."""

QUANTIZING = ("ptq", "weights")

# pass -> the passes that must not come before it, and why
_NEVER_AFTER = {
    "prune": {
        "ptq": "integer weights would have to be rounded again",
        "smooth": "its factors belong to the channels that were there",
        "fold_time": "its steps could not be trained any more",
        "distill": "what the student learnt would be lost again",
    },
    "distill": {
        "ptq": "integer weights cannot learn",
        "smooth": "what it evened out would be learnt again",
        "fold_time": "the time MLP that it takes away is needed to learn other steps",
    },
    "collapse": {
        "fold_time": "the time folds into collapsed convolutions",
        "ptq": "its convolutions are the quantized ones",
    },
    "fold_time": {"ptq": "integer weights cannot take the time in"},
    "equalize": {"ptq": "the ranges are settled by then"},
    "smooth": {"ptq": "the ranges are settled by then"},
    "ptq": {"qat": "what qat learnt would be lost again", "reconstruct": "what it learnt would be lost again"},
    "reconstruct": {"qat": "qat already looks at the whole, and its gain would be lost again"},
}

# What must not come after ptq must not come after weights either, for the same reasons.
_AS = {"weights": "ptq"}

_NEEDS = {"ptq": "fold_time", "qat": "ptq", "reconstruct": "ptq"}

# The second of a kind would take what the first has kept, or find nothing to do.
_ONCE = ("distill", "fold_time", "smooth", "ptq", "reconstruct", "qat", "weights")


def order_mistakes(names: list[str]) -> list[tuple[int, str]]:
    """(number of the pass, why it cannot stand there) for every pass that comes after one it must come before, with one
    that does the same, or without the one that it stands on."""
    late = [
        (i, f"comes after {before}, where {why}: put it before {before}")
        for i, name in enumerate(names)
        for before in dict.fromkeys(names[:i])
        if (why := _NEVER_AFTER.get(name, {}).get(_AS.get(before, before)))
    ]
    both = [
        (i, f"comes with {other}, which rounds the same weights: remove one of the two")
        for i, name in enumerate(names)
        for other in QUANTIZING
        if name in QUANTIZING and other != name and other in names[:i]
    ]
    twice = [
        (i, "comes twice: remove one of the two") for i, name in enumerate(names) if name in _ONCE and name in names[:i]
    ]
    alone = [
        (i, f"comes without {_NEEDS[name]} before it: add {_NEEDS[name]}")
        for i, name in enumerate(names)
        if name in _NEEDS and _NEEDS[name] not in names[:i]
    ]
    return late + both + twice + alone
