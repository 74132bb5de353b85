import numpy as np
import pytest
import torch
from torch.nn.functional import mse_loss, normalize

from v2l.errors import ArtifactError

from .conftest import DIM, GRID, random, random_pictures

LEVELS = [1, 2, 4]
STEPS = 40  # of gradient descent, several times what is needed
STARTS = [0, 1, 5]  # of the levels among the 1 + 4 + 16 ids


def slow_pyramid(features: np.ndarray, codes: np.ndarray) -> tuple[list[int], list[np.ndarray], np.ndarray]:
    """Streaming average quantization of one picture [d, 4, 4], level by level in double precision.

    Returns its ids, what each level was to say [side * side, d], and the mean of the spread levels [d, 4, 4].
    """
    spread: list[np.ndarray] = []  # of each level so far, at full resolution
    ids, targets = [], []
    for side in LEVELS:
        wanted = features + sum(features - level for level in spread)
        cell = GRID // side
        full, said = np.empty_like(features), []
        for row in range(side):
            for column in range(side):
                block = (slice(None), slice(row * cell, (row + 1) * cell), slice(column * cell, (column + 1) * cell))
                target = wanted[block].mean(axis=(1, 2))
                distances = [((target - code) ** 2).sum() for code in codes]
                ids.append(int(np.argmin(distances)))
                said.append(target)
                full[block] = codes[ids[-1]][:, None, None]
        spread.append(full)
        targets.append(np.stack(said))
    return ids, targets, np.mean(spread, axis=0)


def slow_guidance(targets: list[np.ndarray], codes: np.ndarray, image_feature: np.ndarray) -> float:
    """Mean cross-entropy, at temperature 0.1, of the two coarsest levels with the two nearest words as answers."""
    words = np.argsort(-codes @ image_feature)[:2]
    terms = []
    for target in np.concatenate(targets[:2]):
        logits = codes @ (target / np.linalg.norm(target)) / 0.1
        terms += [np.log(np.exp(logits).sum()) - logits[word] for word in words]
    return float(np.mean(terms))


@pytest.fixture
def features() -> torch.Tensor:
    return 0.6 * random(3, DIM, GRID, GRID, seed=2)


@pytest.fixture
def image_features() -> torch.Tensor:
    return normalize(random(3, DIM, seed=3), dim=1)


def test_the_pyramid_is_streaming_average_quantization(make, features: torch.Tensor) -> None:
    tokenizer = make("spae")
    codes = tokenizer.codebook.weight.double().numpy()
    ids = tokenizer.nearest(features)
    assert ids.shape == (3, 21)
    assert tokenizer.num_tokens == 21
    for picture in range(3):
        expected, _, mean = slow_pyramid(features[picture].double().numpy(), codes)
        assert ids[picture].tolist() == expected
        # float32 means of three numbers below 1
        np.testing.assert_allclose(tokenizer.features_of(ids)[picture].numpy(), mean, atol=1e-6)


@pytest.mark.parametrize(("levels", "count"), [([1, 4], 17), ([2, 4], 20), ([1, 2, 4], 21)])
def test_a_picture_has_as_many_tokens_as_its_levels_have_cells(make, levels: list[int], count: int) -> None:
    tokenizer = make("spae", levels=levels, guided_levels=1)
    with torch.no_grad():
        ids = tokenizer.nearest(tokenizer.encode(random_pictures(2)))
        assert ids.shape == (2, count)
        assert tokenizer.decode_ids(ids, None).shape == (2, 3, 8, 8)


def test_features_of_ids_are_the_mean_of_the_spread_levels(make) -> None:
    tokenizer = make("spae")
    ids = torch.randint(0, 40, (2, 21), generator=torch.Generator().manual_seed(0))
    found = tokenizer.features_of(ids)
    for picture in range(2):
        for row in range(GRID):
            for column in range(GRID):
                cells = [(row * side // GRID) * side + column * side // GRID for side in LEVELS]
                rows = [
                    tokenizer.codebook.weight[ids[picture, start + cell]]
                    for start, cell in zip(STARTS, cells, strict=True)
                ]
                torch.testing.assert_close(found[picture, :, row, column], (rows[0] + rows[1] + rows[2]) / 3)


def test_another_number_of_ids_is_refused(make) -> None:
    with pytest.raises(ValueError, match="expected 21 ids a picture, found 16"):
        make("spae").decode_ids(torch.zeros(1, 16, dtype=torch.int64), None)


def test_training_sees_the_same_ids_and_the_mean_with_the_features_gradient(make, features: torch.Tensor) -> None:
    tokenizer = make("spae", guidance_weight=0)
    features.requires_grad_()
    quantized = tokenizer.quantize(features, codebook_weight=0.33)
    ids = tokenizer.nearest(features.detach())
    assert torch.equal(quantized.ids, ids)
    mean = tokenizer.features_of(ids)
    torch.testing.assert_close(quantized.features, mean)  # z + (c - z) rounds once more than c
    assert quantized.loss.item() == pytest.approx(1.33 * mse_loss(features, mean).item(), rel=1e-5)
    weights = random(3, DIM, GRID, GRID, seed=4)
    (quantized.features * weights).sum().backward()
    assert torch.equal(features.grad, weights)


def test_guidance_is_the_cross_entropy_of_the_coarse_levels_over_the_codebook(
    make, features: torch.Tensor, image_features: torch.Tensor
) -> None:
    tokenizer = make("spae", guidance_weight=0.5)
    guided = tokenizer.quantize(features, image_features=image_features).loss
    plain = make("spae", guidance_weight=0).quantize(features).loss
    codes = tokenizer.codebook.weight.double().numpy()
    terms = [
        slow_guidance(slow_pyramid(picture, codes)[1], codes, image_feature)
        for picture, image_feature in zip(features.double().numpy(), image_features.double().numpy(), strict=True)
    ]
    # float32 logits up to 10, and a difference of two losses around 1
    assert (guided - plain).item() == pytest.approx(0.5 * np.mean(terms), abs=1e-5)


def test_guidance_finds_words_along_the_axes_that_are_kept(
    make, features: torch.Tensor, image_features: torch.Tensor
) -> None:
    tokenizer = make("spae", code_dim=3)
    kept = features[:, :3]
    guided = tokenizer.quantize(kept, image_features=image_features).loss
    projected, tokenizer.axes = image_features @ tokenizer.axes, None
    assert torch.equal(guided, tokenizer.quantize(kept, image_features=projected).loss)


def test_guidance_draws_all_positions_alike_where_it_guides_the_first_level_alone(
    make, features: torch.Tensor, image_features: torch.Tensor
) -> None:
    tokenizer = make("spae", guided_levels=1)
    features.requires_grad_()
    plain = mse_loss(features, tokenizer.features_of(tokenizer.nearest(features.detach())))
    guided = tokenizer.quantize(features, codebook_weight=0, image_features=image_features).loss
    (gradient,) = torch.autograd.grad(guided - plain, features)
    # what is left of two equal gradients around 0.01 that cancel, in float32
    torch.testing.assert_close(gradient, gradient[:, :, :1, :1].expand_as(gradient), atol=1e-7, rtol=0)
    assert gradient.abs().amax() > 1e-4


def test_guidance_brings_the_coarse_levels_to_the_nearest_word(make, image_features: torch.Tensor) -> None:
    """Its weight is so large that the pull to the present codes is nothing beside it."""
    tokenizer = make("spae", guidance_words=1, guidance_weight=1000.0)
    word = (image_features @ tokenizer.codebook.weight.T).argmax(dim=1, keepdim=True)
    features = 0.1 * random(3, DIM, GRID, GRID, seed=5)
    assert not (tokenizer.nearest(features)[:, :5] == word).all(dim=1).any()
    features.requires_grad_()
    optimiser = torch.optim.SGD([features], lr=3e-3)
    for _ in range(STEPS):
        optimiser.zero_grad()
        tokenizer.quantize(features, image_features=image_features).loss.backward()
        optimiser.step()
    ids = tokenizer.nearest(features.detach())
    assert (ids[:, :5] == word).all()


def test_training_without_image_features_is_refused_in_one_line(make, features: torch.Tensor) -> None:
    with pytest.raises(
        ArtifactError, match=r"^train: a tokenizer of kind spae needs the input --features, found none$"
    ):
        make("spae").quantize(features)
