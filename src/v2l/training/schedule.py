"""The learning rate by step (paper, section 4.1)."""

import math
from dataclasses import dataclass

from v2l.config.train import TrainConfig


def learning_rate_factor(step: int, warmup_steps: float, total_steps: int) -> float:
    """Share of the peak rate at a step: linear warm-up, then half a cosine down to 0. Steps count from 0."""
    if step + 1 < warmup_steps:
        return (step + 1) / warmup_steps
    done = (step - warmup_steps) / max(total_steps - warmup_steps, 1)
    return (1 + math.cos(math.pi * min(max(done, 0.0), 1.0))) / 2


@dataclass(frozen=True)
class Schedule:
    """A training run in steps. num_pictures: pictures of one epoch."""

    config: TrainConfig
    num_pictures: int

    @property
    def steps_per_epoch(self) -> float:
        return self.num_pictures / self.config.batch_size

    @property
    def total_steps(self) -> int:
        return max(1, round(self.config.epochs * self.steps_per_epoch))

    def learning_rate(self, step: int) -> float:
        warmup_steps = self.config.warmup_epochs * self.steps_per_epoch
        return self.config.learning_rate * learning_rate_factor(step, warmup_steps, self.total_steps)
