"""Tasks in this process: outcomes, errors that are the task's own, what stands on what failed."""

import pytest

from compress.errors import InputError, Unavailable
from compress.pipeline.workers import Task, each, open_workers, values
from compress.pipeline.workers.in_process import InProcess


def double(number: int) -> int:
    if number == 3:
        raise InputError("3: is not\n wanted: give another")
    if number == 4:
        raise ZeroDivisionError("by zero")
    return 2 * number


def task(number: int, *after: str) -> Task:
    return Task(f"t{number}", f"double {number}", double, {"number": number}, after)


def test_a_failed_task_stops_only_what_stands_on_it() -> None:
    messages: list[str] = []
    tasks = [task(1), task(3), task(5, "t3"), task(4), task(2, "t1")]
    outcomes = InProcess().run(tasks, lambda outcome: messages.append(outcome.key))
    assert messages == ["t1", "t3", "t5", "t4", "t2"]
    assert [outcomes[key].value for key in messages] == [2, None, None, None, 4]
    assert (outcomes["t3"].message, outcomes["t3"].exit_code) == (r"3: is not\n wanted: give another", 2)
    assert outcomes["t5"].message == r"needs what failed: 3: is not\n wanted: give another"
    assert outcomes["t4"].message == "ZeroDivisionError: by zero"
    assert values(outcomes, [tasks[4], tasks[0]]) == [4, 2]
    with pytest.raises(InputError, match=r"^double 3: 3: is not\\n wanted"):
        values(outcomes, tasks)


def test_each_keeps_the_order() -> None:
    assert each(InProcess(), "double", double, [{"number": n} for n in (7, 1, 5)], lambda outcome: None) == [14, 2, 10]


def test_an_interruption_is_no_outcome() -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        InProcess().run([Task("t", "t", interrupt, {})], lambda outcome: None)


def test_no_address_is_this_process() -> None:
    assert isinstance(open_workers(None), InProcess)


@pytest.mark.parametrize("address", ["127.0.0.1:1", "nonsense"])
def test_an_address_where_no_ray_is(address: str) -> None:
    with pytest.raises(Unavailable, match=f"^--address {address}: no Ray answers there .*ray start --head"):
        open_workers(address)
