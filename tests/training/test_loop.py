import math
from pathlib import Path

import numpy as np
import pytest
import torch

from v2l.config.tokenizer import V2LConfig
from v2l.config.train import TrainConfig
from v2l.data.images import to_tensor
from v2l.errors import ArtifactError, ModelError
from v2l.models.perceptual import Lpips
from v2l.tokenizer.base import Sources
from v2l.training.loop import Guides, fit
from v2l.training.pictures import TrainingPictures
from v2l.training.processes import Processes
from v2l.training.train import make_trainer
from v2l.training.trainer import Trainer

from .conftest import DIM, NUM_TOKENS, TOKENIZERS, TRAIN, draw_picture


@pytest.fixture
def make(inputs, runtime):
    """A trainer of a tiny V2L tokenizer; keywords go to its two configurations."""

    def make_one(runtime=runtime, seed: int = 0, **changes: object) -> Trainer:
        of_tokenizer = {name: value for name, value in changes.items() if name in V2LConfig.model_fields}
        tokenizer_config = V2LConfig(**TOKENIZERS["v2l"] | of_tokenizer)
        config = TrainConfig(**TRAIN | {name: value for name, value in changes.items() if name not in of_tokenizer})
        shapes = {"embeddings": (NUM_TOKENS, DIM), "global_vectors": (3, DIM)}
        generator = torch.Generator().manual_seed(0)
        sources = Sources({name: torch.randn(*shape, generator=generator) for name, shape in shapes.items()})
        lpips = Lpips(inputs["networks"], "alex")
        return make_trainer(sources, four_pictures(), lpips, config, tokenizer_config, seed, runtime)

    return make_one


def four_pictures() -> TrainingPictures:
    return TrainingPictures([draw_picture(index) for index in range(4)], list("abcd"), 32, 0)


def batch(count: int = 4) -> torch.Tensor:
    return to_tensor(torch.stack([torch.from_numpy(draw_picture(index)) for index in range(count)]).numpy())


def snapshot(*modules: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {f"{i}.{k}": v.detach().clone() for i, module in enumerate(modules) for k, v in module.named_parameters()}


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
    first = snapshot(make().tokenizer, make().discriminator)
    torch.rand(5)
    again, other = snapshot(make().tokenizer, make().discriminator), snapshot(make(seed=1).tokenizer)
    assert all(torch.equal(first[name], tensor) for name, tensor in again.items())
    assert not torch.equal(other["0.encoder.conv_in.weight"], first["0.encoder.conv_in.weight"])


def test_training_begins_with_projected_codes_about_zero(make) -> None:
    codes = make(unit_codes=False).tokenizer.codes().vectors
    # float32: fifty codes of length about three
    torch.testing.assert_close(codes.mean(dim=0), torch.zeros(6), atol=1e-5, rtol=0)


def test_training_without_projector_begins_with_features_about_the_codes(make) -> None:
    """The first batch holds all four pictures, in whatever order."""
    tokenizer = make(project_codes=False).tokenizer
    with torch.no_grad():
        features = tokenizer.quant_conv(tokenizer.encoder(2 * batch() - 1))
    mean = tokenizer.codes().vectors.mean(dim=0)
    # float32 means of thousands of numbers around 1
    torch.testing.assert_close(features.mean(dim=(0, 2, 3)), mean, atol=1e-4, rtol=0)


def test_every_picture_is_trained_on_with_its_own_guides(make, tmp_path: Path, monkeypatch) -> None:
    pictures = four_pictures()
    features, codebook = torch.randn(4, DIM), torch.randn(5, DIM)
    guides = Guides(features, torch.tensor([[0, 1], [2, 3], [4, 0], [3, 1]]), codebook)
    seen: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []
    take_step = Trainer.step

    def noted(self, images, vectors, step, learning_rate, image_features):
        seen.append((images, vectors, image_features))
        return take_step(self, images, vectors, step, learning_rate, image_features)

    monkeypatch.setattr(Trainer, "step", noted)
    fit(make(batch_size=2, epochs=2, gan_start_step=10**6), pictures, guides, tmp_path, tmp_path / "events")
    assert len(seen) == 4
    originals, rows = batch(), []
    for images, vectors, image_features in seen:
        for image, vector, feature in zip(images, vectors, image_features, strict=True):
            (row,) = [row for row in range(4) if torch.equal(image, originals[row])]
            assert torch.equal(feature, features[row])
            assert torch.equal(vector, codebook[guides.global_ids[row]])
            rows.append(row)
    assert sorted(rows) == [0, 0, 1, 1, 2, 2, 3, 3]


def test_without_guides_there_are_no_vectors_and_no_features() -> None:
    assert Guides().of(np.array([0, 1]), torch.device("cpu")) == (None, None)


def test_checkpoints_that_differ_between_processes_are_refused(make, tmp_path: Path, monkeypatch) -> None:
    """As where the folder of the outputs is each node's own."""
    monkeypatch.setattr(Processes, "gather", lambda _self, start: torch.cat([start, start + 5]))
    message = "expected one checkpoint in a folder that all nodes share, found those of steps 0, 5$"
    with pytest.raises(ArtifactError, match=message):
        fit(make(), four_pictures(), Guides(), tmp_path, tmp_path / "events")


def test_loss_that_is_not_finite_stops_the_run_and_names_the_step(make, tmp_path: Path, monkeypatch) -> None:
    trainer = make()
    guides = Guides(torch.randn(4, DIM), torch.zeros(4, 2, dtype=torch.int64), torch.randn(3, DIM))
    take_step = Trainer.step

    def poisoned(self, images: torch.Tensor, vectors: torch.Tensor, step: int, *others):
        return take_step(self, images * (math.nan if step == 2 else 1), vectors, step, *others)

    monkeypatch.setattr(Trainer, "step", poisoned)
    with pytest.raises(ModelError, match="expected a finite loss, found nan at step 2"):
        fit(trainer, four_pictures(), guides, tmp_path, tmp_path / "events")
