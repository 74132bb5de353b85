"""What all kinds share, on tokenizers with a learned codebook: the start of training, ids, the way back."""

import numpy as np
import pytest
import torch

from v2l.baselines.vqgan import VqGan
from v2l.config.tokenizer import VqGanConfig
from v2l.errors import ArtifactError
from v2l.tokenizer.base import Sources, align_with_codes, principal_axes

SIZES = {
    "image_size_px": 8,
    "base_channels": 8,
    "channel_multipliers": [1, 1],
    "num_res_blocks": 1,
    "norm_groups": 4,
}


def make(z_channels: int = 8, code_dim: int = 6) -> VqGan:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return VqGan(VqGanConfig(**SIZES, z_channels=z_channels, num_codes=50, code_dim=code_dim)).eval()


def pictures(count: int) -> torch.Tensor:
    return torch.rand(count, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def moments(rows: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    values = rows.detach().double().numpy()
    return values.mean(axis=0), np.cov(values.T)


def aligned_features(tokenizer: VqGan) -> torch.Tensor:
    """Features [B * h * w, code_dim] after the start, of the pictures it was given."""
    align_with_codes(tokenizer, pictures(16))
    return tokenizer.encode(pictures(16)).permute(0, 2, 3, 1).flatten(0, 2)


def test_aligned_features_have_the_codebooks_mean_and_covariance() -> None:
    tokenizer = make(z_channels=8, code_dim=6)
    mean, covariance = moments(aligned_features(tokenizer))
    codes_mean, codes_covariance = moments(tokenizer.codebook.weight)
    # float32 features around 1, whitened by scales as small as 0.01
    np.testing.assert_allclose(mean, codes_mean, atol=1e-4)
    np.testing.assert_allclose(covariance, codes_covariance, atol=1e-4)


def test_an_encoder_narrower_than_the_codes_gets_their_largest_directions() -> None:
    tokenizer = make(z_channels=4, code_dim=6)
    mean, covariance = moments(aligned_features(tokenizer))
    codes_mean, codes_covariance = moments(tokenizer.codebook.weight)
    axes, variances, _ = np.linalg.svd(codes_covariance)
    largest = (axes[:, :4] * variances[:4]) @ axes[:, :4].T
    np.testing.assert_allclose(mean, codes_mean, atol=1e-4)  # as above
    np.testing.assert_allclose(covariance, largest, atol=1e-4)
    assert np.abs(codes_covariance - largest).max() > 0.01


def test_principal_axes_are_those_of_a_singular_value_decomposition() -> None:
    rows = torch.randn(200, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    rows = rows * torch.tensor([1.0, 5.0, 2.0, 0.5, 3.0], dtype=torch.float64) + 7
    deviations, axes = principal_axes(torch.cov(rows.T), 3)
    _, singular, right = np.linalg.svd(rows.numpy() - rows.numpy().mean(axis=0), full_matrices=False)
    assert axes.shape == (5, 3)
    np.testing.assert_allclose(deviations, singular[:3] / np.sqrt(199), rtol=1e-10)
    np.testing.assert_allclose(np.abs(axes.numpy()), np.abs(right[:3].T), atol=1e-10)
    assert axes.abs().argmax(dim=0).tolist() == [1, 4, 2]
    assert (axes[[1, 4, 2], [0, 1, 2]] > 0).all()  # the sign is fixed


def test_rows_without_spread_in_a_direction_have_no_negative_variance() -> None:
    rows = torch.randn(30, 1, generator=torch.Generator().manual_seed(0)) * torch.tensor([[1.0, 2.0, -1.0]])
    deviations, _ = principal_axes(torch.cov(rows.T), 3)
    assert torch.isfinite(deviations).all()
    # the square root of float32 rounding of a variance of about 6
    torch.testing.assert_close(deviations[1:], torch.zeros(2), atol=2e-3, rtol=0)


def test_ids_are_laid_out_in_raster_order() -> None:
    tokenizer = make()
    ids = torch.arange(16)[None]
    features = tokenizer.features_of(ids)
    assert features.shape == (1, 6, 4, 4)
    for row in range(4):
        for column in range(4):
            assert torch.equal(features[0, :, row, column], tokenizer.codebook.weight[4 * row + column])
    assert torch.equal(tokenizer.nearest(features.detach()), ids)


def test_another_number_of_ids_than_the_map_has_is_refused() -> None:
    with pytest.raises(ValueError, match="expected 16 ids a picture, found 9"):
        make().decode_ids(torch.zeros(1, 9, dtype=torch.int64), None)


def test_pictures_come_back_at_their_size_with_grey_where_the_decoder_says_nothing() -> None:
    tokenizer = make()
    torch.nn.init.zeros_(tokenizer.decoder.conv_out.weight)
    torch.nn.init.zeros_(tokenizer.decoder.conv_out.bias)
    decoded = tokenizer.decode_ids(torch.zeros(2, 16, dtype=torch.int64), None)
    assert torch.equal(decoded, torch.full((2, 3, 8, 8), 0.5))


def test_the_encoder_sees_pictures_between_minus_one_and_one() -> None:
    tokenizer = make()
    seen: list[torch.Tensor] = []
    tokenizer.encoder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    tokenizer.encode(torch.tensor([0.0, 0.25, 1.0])[None, :, None, None].expand(1, 3, 8, 8))
    assert seen[0][0, :, 0, 0].tolist() == [-1.0, -0.5, 1.0]


def test_a_missing_source_is_named_by_its_option() -> None:
    sources = Sources({"embeddings": torch.zeros(1, 1)})
    assert torch.equal(sources["embeddings"], torch.zeros(1, 1))
    with pytest.raises(ArtifactError, match="needs the input --global-vectors, found none"):
        sources["global_vectors"]
