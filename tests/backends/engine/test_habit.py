from hypothesis import given
from hypothesis import strategies as st

from spikeport.backends.engine.habit import LOOKS, RETRY, Habit


def looks(habit, alone, shared, steps=100_000, chunk=10):
    """Let *habit* find out that a step takes these seconds alone and shared."""
    for _ in range(2 * LOOKS):
        parts, length = habit.choose(steps, chunk)
        habit.learn(parts, length, (alone if parts == 1 else shared) * length)


def test_one_thread_takes_all_it_may_without_an_interrupt():
    assert Habit(1).choose(100, 10) == (1, 100)
    assert Habit(1).choose(10_000, 10) == (1, 640)


def test_work_that_is_not_worth_sharing_stays_with_one_thread():
    habit = Habit(2)
    looks(habit, 1e-6, 1e-6, steps=100)
    assert habit.choose(100, 10) == (1, 100)


def test_the_faster_way_is_taken_and_the_other_tried_again():
    for alone, shared, best in ((1e-4, 6e-5, 2), (1e-4, 2e-4, 1)):
        habit = Habit(2)
        looks(habit, alone, shared)
        taken = [habit.choose(100_000, 10)[0] for _ in range(RETRY)]
        assert taken[:-1] == [best] * (RETRY - 1)
        assert taken[-1] != best


def test_what_a_stretch_took_last_counts():
    habit = Habit(2)
    looks(habit, 1e-4, 5e-5)
    assert habit.choose(100_000, 10)[0] == 2
    for _ in range(LOOKS):  # somebody else took the other core
        habit.learn(2, 100, 100 * 3e-4)
    assert habit.choose(100_000, 10)[0] == 1
    assert habit.most == 2


@given(
    st.integers(1, 4), st.sampled_from((-1.0, 0.0, 4e-4)), st.integers(1, 50),
    st.lists(st.tuples(st.integers(1, 300), st.floats(1e-9, 1.0)), min_size=1, max_size=20),
)  # fmt: skip
def test_a_stretch_is_never_empty_and_never_longer_than_what_is_left(threads, worth_s, chunk, runs):
    habit = Habit(threads, worth_s)
    for steps, seconds in runs:
        left = steps
        while left:
            parts, length = habit.choose(left, chunk)
            assert 1 <= parts <= max(1, threads)
            assert 1 <= length <= left
            habit.learn(parts, length, seconds)
            left -= length
