from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from v2l.errors import ArtifactError
from v2l.tokenizer.base import align_with_codes
from v2l.tokenizer.model import LocalTokenizer

from .conftest import GLOBAL_DIM, NUM_LOCAL, SOURCE_DIM


def slow_codes(tokenizer: LocalTokenizer) -> torch.Tensor:
    """The projected codebook, a row at a time."""
    layer = tokenizer.codebook_projection
    rows = [layer.weight @ row + layer.bias for row in tokenizer.tok_embeddings.weight]
    return torch.stack([row / row.norm() for row in rows] if tokenizer.config.unit_codes else rows).detach()


def test_features_have_unit_length(make_tokenizer) -> None:
    features = make_tokenizer().encode(torch.rand(2, 3, 16, 24))
    assert features.shape == (2, 6, 8, 12)
    torch.testing.assert_close(features.norm(dim=1), torch.ones(2, 8, 12))


@pytest.mark.parametrize("unit_codes", [False, True])
def test_quantize_takes_the_nearest_projected_code(make_tokenizer, unit_codes: bool) -> None:
    tokenizer = make_tokenizer(unit_codes=unit_codes)
    features = tokenizer.encode(torch.rand(2, 3, 16, 16))
    quantized = tokenizer.quantize(features, codebook_weight=0.33)
    codes = slow_codes(tokenizer)
    for image in range(2):
        for position in range(64):
            row, column = divmod(position, 8)  # raster order
            feature = features[image, :, row, column]
            nearest = int((codes - feature).square().sum(dim=1).argmin())
            assert quantized.ids[image, position] == nearest
            torch.testing.assert_close(quantized.features[image, :, row, column], codes[nearest])
    flat = codes[quantized.ids].mT.reshape(features.shape)
    assert quantized.loss.item() == pytest.approx(1.33 * (flat - features).square().mean().item(), rel=1e-5)


def test_tokens_with_one_embedding_share_the_lowest_id(make_tokenizer) -> None:
    tokenizer = make_tokenizer()
    pictures = torch.rand(4, 3, 16, 16)
    before = tokenizer.nearest(tokenizer.encode(pictures))
    embeddings = tokenizer.tok_embeddings.weight.clone()
    tokenizer.set_local_embeddings(torch.cat([embeddings[20:], embeddings[20:]]))
    after = tokenizer.nearest(tokenizer.encode(pictures))
    assert after.max() < 20
    used = before >= 20
    assert used.any()
    assert torch.equal(after[used], before[used] - 20)


def test_training_begins_with_codes_of_mean_zero_over_distinct_embeddings(make_tokenizer) -> None:
    tokenizer = make_tokenizer()
    embeddings = torch.randn(NUM_LOCAL // 4, SOURCE_DIM) + 3
    tokenizer.set_local_embeddings(torch.cat([embeddings, embeddings[:1].expand(NUM_LOCAL - len(embeddings), -1)]))
    before = tokenizer.quant_conv.weight.clone()
    tokenizer.begin(torch.rand(4, 3, 16, 16))
    assert torch.equal(tokenizer.quant_conv.weight, before)
    # float32: ten codes of length about ten each
    torch.testing.assert_close(tokenizer.codes().vectors.mean(dim=0), torch.zeros(6), atol=1e-5, rtol=0)


def test_training_without_projector_begins_with_the_encoder_aligned_with_the_embeddings(make_tokenizer) -> None:
    tokenizer, aligned = make_tokenizer(project_codes=False), make_tokenizer(project_codes=False)
    pictures = torch.rand(4, 3, 16, 16)
    align_with_codes(aligned, pictures)
    assert not torch.equal(tokenizer.quant_conv.weight, aligned.quant_conv.weight)
    tokenizer.begin(pictures)
    assert torch.equal(tokenizer.quant_conv.weight, aligned.quant_conv.weight)
    assert torch.equal(tokenizer.quant_conv.bias, aligned.quant_conv.bias)


def test_gradient_passes_the_quantizer_to_encoder_and_projector_and_not_to_the_codebook(make_tokenizer) -> None:
    tokenizer = make_tokenizer()
    features = tokenizer.encode(torch.rand(2, 3, 16, 16))
    quantized = tokenizer.quantize(features)
    (tokenizer.decode(quantized.features, torch.randn(2, 3, GLOBAL_DIM)).mean() + quantized.loss).backward()
    assert tokenizer.tok_embeddings.weight.grad is None
    for part in (
        tokenizer.encoder.conv_in,
        tokenizer.quant_conv,
        tokenizer.codebook_projection,
        tokenizer.decoder.conv_out,
    ):
        assert part.weight.grad.abs().sum() > 0


def test_projectors_gradient_equals_that_of_projecting_the_whole_codebook(make_tokenizer) -> None:
    tokenizer = make_tokenizer(unit_codes=True).double()
    ids, weights = torch.randint(0, NUM_LOCAL, (2, 5)), torch.randn(2, 5, 6, dtype=torch.float64)
    layer = tokenizer.codebook_projection
    (tokenizer.lookup(ids) * weights).sum().backward()
    gradient, layer.weight.grad = layer.weight.grad, None
    everything = torch.nn.functional.normalize(layer(tokenizer.tok_embeddings.weight), dim=1)
    (everything[ids] * weights).sum().backward()
    torch.testing.assert_close(gradient, layer.weight.grad, atol=1e-12, rtol=1e-12)


def test_gradient_of_decoding_equals_finite_differences(make_tokenizer) -> None:
    tokenizer = make_tokenizer().double()
    context = torch.randn(1, 3, GLOBAL_DIM, dtype=torch.float64)
    features = torch.randn(1, 6, 2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: tokenizer.decode(x, context), (features,), fast_mode=True)


def test_decode_ids_equals_decoding_the_quantized_features(make_tokenizer) -> None:
    tokenizer, context = make_tokenizer().double(), torch.randn(2, 3, GLOBAL_DIM, dtype=torch.float64)
    quantized = tokenizer.quantize(tokenizer.encode(torch.rand(2, 3, 16, 16, dtype=torch.float64)))
    decoded = tokenizer.decode_ids(quantized.ids, context)
    assert decoded.shape == (2, 3, 16, 16)
    torch.testing.assert_close(decoded, tokenizer.decode(quantized.features, context), atol=1e-9, rtol=1e-9)


def test_decode_refuses_another_number_of_global_vectors(make_tokenizer) -> None:
    with pytest.raises(ValueError, match="takes 3 global vectors per picture, found 2"):
        make_tokenizer().decode(torch.zeros(1, 6, 4, 4), torch.zeros(1, 2, GLOBAL_DIM))
    with pytest.raises(ValueError, match="takes 3 global vectors per picture, found 0"):
        make_tokenizer().decode(torch.zeros(1, 6, 4, 4), None)


@pytest.mark.parametrize("changes", [{"num_global": 0}, {"project_codes": False}, {"unit_codes": True}])
def test_every_variant_is_read_as_it_was_saved(make_tokenizer, tmp_path: Path, changes: dict) -> None:
    tokenizer = make_tokenizer(**changes)
    tokenizer.save(tmp_path / "t.safetensors")
    loaded = LocalTokenizer.load(tmp_path / "t.safetensors")
    assert loaded.config == tokenizer.config
    assert not loaded.tok_embeddings.weight.requires_grad
    state = tokenizer.state_dict()
    assert state.keys() == loaded.state_dict().keys()
    assert all(torch.equal(tensor, state[name]) for name, tensor in loaded.state_dict().items())


def test_codes_that_are_not_projected_are_the_embeddings_at_their_own_width(make_tokenizer) -> None:
    tokenizer = make_tokenizer(project_codes=False)
    assert torch.equal(tokenizer.lookup(torch.tensor([3, 1])), tokenizer.tok_embeddings.weight[[3, 1]])
    assert tokenizer.encode(torch.rand(1, 3, 16, 16)).shape == (1, SOURCE_DIM, 8, 8)


def test_weights_without_keys_for_the_global_vectors_are_refused(make_tokenizer, tmp_path: Path) -> None:
    make_tokenizer(num_global=0).save(tmp_path / "t.safetensors")
    metadata = {"config": make_tokenizer().config.model_dump_json()}
    save_file(load_file(tmp_path / "t.safetensors"), tmp_path / "u.safetensors", metadata=metadata)
    message = r"u\.safetensors: weights do not fit: missing decoder\.mid\.cross_attn_1\.to_k\.weight$"
    with pytest.raises(ArtifactError, match=message):
        LocalTokenizer.load(tmp_path / "u.safetensors")
