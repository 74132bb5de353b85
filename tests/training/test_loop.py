import math
from pathlib import Path

import pytest
import torch

from v2l.config.tokenizer import TokenizerConfig
from v2l.config.train import TrainConfig
from v2l.data.images import to_tensor
from v2l.errors import ModelError
from v2l.models.perceptual import Lpips
from v2l.training.loop import Schedule, Trainer, fit, learning_rate_factor
from v2l.training.pictures import TrainingPictures
from v2l.training.train import make_trainer

from .conftest import DIM, NUM_TOKENS, TOKENIZER, TRAIN, draw_picture


@pytest.fixture
def make(inputs, runtime):
    """A trainer of tiny size; keywords go to its two configurations."""

    def make_one(runtime=runtime, **changes: object) -> Trainer:
        tokenizer_config = TokenizerConfig(**TOKENIZER | {k: v for k, v in changes.items() if k in TOKENIZER})
        config = TrainConfig(**TRAIN | {k: v for k, v in changes.items() if k not in TOKENIZER})
        embeddings = torch.randn(NUM_TOKENS, DIM, generator=torch.Generator().manual_seed(0))
        lpips = Lpips(inputs["networks"], "alex")
        torch.set_num_threads(1)  # networks this small are slower on two threads
        return make_trainer(embeddings, DIM, lpips, config, tokenizer_config, seed=0, runtime=runtime)

    return make_one


def batch(count: int = 4) -> torch.Tensor:
    return to_tensor(torch.stack([torch.from_numpy(draw_picture(index)) for index in range(count)]).numpy())


def snapshot(*modules: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {f"{i}.{k}": v.detach().clone() for i, module in enumerate(modules) for k, v in module.named_parameters()}


def test_learning_rate_rises_in_a_line_and_falls_in_half_a_cosine() -> None:
    rates = [learning_rate_factor(step, warmup_steps=4, total_steps=12) for step in range(13)]
    assert rates[:4] == [0.25, 0.5, 0.75, 1.0]
    assert rates[4] == 1.0
    assert rates[8] == pytest.approx(0.5)
    assert rates[6] == pytest.approx((1 + math.cos(math.pi / 4)) / 2)
    assert rates[12] == 0.0
    assert learning_rate_factor(0, warmup_steps=0, total_steps=1) == 1.0
    assert learning_rate_factor(9, warmup_steps=20, total_steps=10) == 0.5  # a run that ends while warming up


def test_schedule_counts_fractions_of_an_epoch() -> None:
    schedule = Schedule(TrainConfig(batch_size=4, epochs=2.5, warmup_epochs=1, learning_rate=0.1), num_pictures=10)
    assert schedule.total_steps == 6  # 6.25 rounded
    assert schedule.learning_rate(0) == pytest.approx(0.1 / 2.5)
    assert Schedule(TrainConfig(batch_size=64, epochs=0.1), num_pictures=10).total_steps == 1


def test_step_moves_what_is_trained_and_nothing_frozen(make) -> None:
    trainer = make(gan_start_step=1)
    frozen = snapshot(trainer.lpips, trainer.tokenizer.tok_embeddings)
    trained, discriminator = snapshot(trainer.tokenizer), snapshot(trainer.discriminator)
    vectors = torch.randn(4, 2, DIM)
    terms = trainer.step(batch(), vectors, step=0, learning_rate=1e-3)
    assert "discriminator" not in terms
    after = snapshot(trainer.tokenizer)
    assert [name for name in trained if torch.equal(trained[name], after[name])] == ["0.tok_embeddings.weight"]
    assert all(torch.equal(discriminator[name], tensor) for name, tensor in snapshot(trainer.discriminator).items())
    terms = trainer.step(batch(), vectors, step=1, learning_rate=1e-3)
    assert terms.keys() >= {"adversarial", "adaptive_weight", "discriminator"}
    after = snapshot(trainer.discriminator)
    # as long as no patch is beyond the hinge, real and reconstructed ones pull at the last bias equally
    assert {name for name in after if torch.equal(discriminator[name], after[name])} <= {"0.main.8.bias"}
    after = snapshot(trainer.lpips, trainer.tokenizer.tok_embeddings)
    assert all(torch.equal(frozen[name], tensor) for name, tensor in after.items())
    assert trainer.tokenizer.tok_embeddings.weight.grad is None


def test_generator_step_is_adam_with_the_papers_constants(make) -> None:
    trainer = make(num_global=0)
    before = snapshot(trainer.tokenizer)
    trainer.step(batch(), None, step=0, learning_rate=2e-3)
    for name, parameter in trainer.tokenizer.named_parameters():
        if parameter.grad is not None:
            gradient = parameter.grad
            # Adam's first step: both bias-corrected moments are the gradient itself
            expected = before[f"0.{name}"] - 2e-3 * gradient / (gradient.abs() + 1e-7)
            torch.testing.assert_close(parameter.detach(), expected, atol=1e-6, rtol=0)
    groups = (*trainer.generator_optimiser.param_groups, *trainer.discriminator_optimiser.param_groups)
    assert all(group["betas"] == (0.5, 0.9) and group["eps"] == 1e-7 for group in groups)


@pytest.mark.parametrize("precision", ["runtime", "runtime_bf16"])
def test_one_batch_can_be_learnt_by_heart(make, request: pytest.FixtureRequest, precision: str) -> None:
    trainer = make(runtime=request.getfixturevalue(precision), num_global=0, gan_start_step=10**6)
    losses = [float(trainer.step(batch(2), None, step, 2e-3)["reconstruction"]) for step in range(40)]
    assert min(losses[-5:]) < 0.4 * losses[0]


def test_initial_weights_depend_on_the_seed_alone(make) -> None:
    torch.manual_seed(1)
    first = snapshot(make().tokenizer)
    torch.rand(5)
    assert all(torch.equal(first[name], tensor) for name, tensor in snapshot(make().tokenizer).items())


def test_loss_that_is_not_finite_stops_the_run_and_names_the_step(make, tmp_path: Path, monkeypatch) -> None:
    trainer = make()
    pictures = TrainingPictures([draw_picture(index) for index in range(4)], list("abcd"), 32, 0)
    take_step = Trainer.step

    def poisoned(self, images: torch.Tensor, vectors: torch.Tensor, step: int, learning_rate: float):
        return take_step(self, images * (math.nan if step == 2 else 1), vectors, step, learning_rate)

    monkeypatch.setattr(Trainer, "step", poisoned)
    with pytest.raises(ModelError, match="expected a finite loss, found nan at step 2"):
        fit(trainer, pictures, torch.zeros(4, 2, dtype=torch.int64), torch.randn(3, DIM), tmp_path, tmp_path / "events")
