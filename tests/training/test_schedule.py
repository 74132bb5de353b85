import math

import pytest

from v2l.config.train import TrainConfig
from v2l.training.schedule import Schedule, learning_rate_factor


def closed_form(step: int, warmup_steps: float, total_steps: int) -> float:
    """A line through (-1, 0) and (warmup_steps - 1, 1), then (1 + cos) / 2 from warmup_steps to total_steps."""
    if step + 1 < warmup_steps:
        return (step + 1) / warmup_steps
    if step < warmup_steps:
        return 1.0
    return math.cos(math.pi / 2 * (step - warmup_steps) / (total_steps - warmup_steps)) ** 2


@pytest.mark.parametrize(("warmup_steps", "total_steps"), [(4, 12), (2.5, 12), (0, 9), (0.5, 7), (30, 400), (11, 12)])
def test_every_step_is_on_the_line_or_the_half_cosine(warmup_steps: float, total_steps: int) -> None:
    factors = [learning_rate_factor(step, warmup_steps, total_steps) for step in range(total_steps + 1)]
    expected = [closed_form(step, warmup_steps, total_steps) for step in range(total_steps + 1)]
    assert factors == pytest.approx(expected, abs=1e-12)  # float64, (1 + cos x) / 2 = cos^2 (x / 2)
    assert factors[total_steps] == 0


@pytest.mark.parametrize("warmup_steps", [0, 1, 2.5, 10])
def test_the_rate_rises_to_the_peak_falls_after_it_and_is_never_zero(warmup_steps: float) -> None:
    factors = [learning_rate_factor(step, warmup_steps, 40) for step in range(40)]
    peak = factors.index(max(factors))
    assert peak == max(math.ceil(warmup_steps) - 1, 0)
    assert factors[: peak + 1] == sorted(factors[: peak + 1])
    assert factors[peak:] == sorted(factors[peak:], reverse=True)
    assert min(factors) > 0
    assert max(factors) == 1


def test_a_run_that_ends_while_warming_up_only_rises() -> None:
    assert [learning_rate_factor(step, 20, 10) for step in range(10)] == pytest.approx([s / 20 for s in range(1, 11)])


def test_a_run_of_one_step_is_taken_at_the_peak_rate_without_warm_up() -> None:
    assert learning_rate_factor(0, 0, 1) == 1


def test_epochs_are_counted_in_pictures_not_in_full_batches() -> None:
    config = TrainConfig(batch_size=8, epochs=3, warmup_epochs=1.2, learning_rate=4e-4)
    schedule = Schedule(config, num_pictures=100)
    assert schedule.steps_per_epoch == 12.5
    assert schedule.total_steps == 38  # 37.5, to the even number
    rates = [schedule.learning_rate(step) for step in range(38)]
    assert rates == pytest.approx([4e-4 * closed_form(step, 15, 38) for step in range(38)], rel=1e-12)
    assert rates[14] == rates[15] == 4e-4


def test_the_shortest_run_has_one_step() -> None:
    config = TrainConfig(batch_size=64, epochs=0.01, warmup_epochs=0, learning_rate=1e-3)
    schedule = Schedule(config, num_pictures=10)
    assert schedule.total_steps == 1
    assert schedule.learning_rate(0) == 1e-3
