import os
import threading

import pytest

from spikeport.backends.engine.crew import Crew


@pytest.fixture
def crew():
    made = Crew(2)
    yield made
    made.close()


def test_every_part_runs_in_a_thread_of_its_own(crew):
    for number in (1, 2, 3):
        seen, meeting = {}, threading.Barrier(number)

        def work(part, seen=seen, meeting=meeting):
            meeting.wait(10)
            seen[part] = threading.get_ident()

        crew.run(work, number, lambda: None)
        assert sorted(seen) == list(range(number))
        assert len(set(seen.values())) == number
        assert seen[0] == threading.get_ident()


@pytest.mark.parametrize("failing", [0, 2])
def test_a_failure_is_told_to_the_others_and_raised_when_all_have_ended(crew, failing):
    told, ended = threading.Event(), []

    def work(part):
        if part == failing:
            raise ValueError(f"part {part}")
        assert told.wait(10)
        ended.append(part)

    with pytest.raises(ValueError, match=f"part {failing}"):
        crew.run(work, 3, told.set)
    assert sorted(ended) == sorted({0, 1, 2} - {failing})
    crew.run(ended.append, 3, told.set)  # and the crew works on
    assert len(ended) == 5


def test_an_interrupt_before_the_work_is_told_to_those_who_wait_for_it(crew, monkeypatch):
    told, over, ended = threading.Event(), threading.Event(), []

    def interrupted(job):
        raise KeyboardInterrupt

    def work(part):
        assert told.wait(10)
        ended.append(part)
        over.set()

    queue = crew._work[1]
    monkeypatch.setattr(crew, "_work", [crew._work[0], type("Queue", (), {"put": staticmethod(interrupted)})])
    with pytest.raises(KeyboardInterrupt):
        crew.run(work, 3, told.set)
    monkeypatch.setattr(crew, "_work", [crew._work[0], queue])
    assert over.wait(10)
    assert ended == [1]


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="the system does not place threads")
def test_helpers_stay_within_the_cores_of_the_caller(crew):
    allowed, places = os.sched_getaffinity(0), {}
    crew.run(lambda part: places.update({part: os.sched_getaffinity(0)}), 3, lambda: None)
    assert places[0] == allowed
    assert all(places[part] <= allowed and places[part] for part in (1, 2))
    if len(allowed) > 1:
        assert all(len(places[part]) == len(allowed) - 1 for part in (1, 2))


def test_helpers_end_when_they_are_let_go():
    crew = Crew(1)
    crew.run(lambda part: None, 2, lambda: None)
    crew.close()
    crew._threads[0].join(10)
    assert not crew._threads[0].is_alive()
