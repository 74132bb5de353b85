"""What the kinds with a frozen codebook share."""

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from v2l.errors import ArtifactError, ConfigError
from v2l.tokenizer.base import Sources
from v2l.tokenizer.kinds import load_tokenizer

from .conftest import CONFIGS, DIM, GRID, NUM_CODES, SIZES, random, random_pictures, take_step

KINDS = pytest.mark.parametrize("kind", ["lqae", "spae"])


@KINDS
def test_codes_are_the_sources_rows_at_unit_length(make, kind: str) -> None:
    source = 3 * random(NUM_CODES, DIM)
    tokenizer = make(kind, source)
    assert tokenizer.vocab_size == NUM_CODES
    codes = tokenizer.lookup(torch.arange(NUM_CODES))
    for code, row in zip(codes, source, strict=True):
        torch.testing.assert_close(code, row / row.square().sum().sqrt())  # rounding of another order of the sum
    assert torch.equal(source, 3 * random(NUM_CODES, DIM))


@KINDS
def test_fewer_axes_keep_what_they_can_of_the_codes_inner_products(make, kind: str) -> None:
    scales = torch.tensor([4.0, 3.0, 2.0, 0.1, 0.1, 0.1])
    source = random(NUM_CODES, DIM) * scales
    rows, kept = normalize(source, dim=1).numpy(), make(kind, source, code_dim=3)
    axes = np.linalg.svd(rows, full_matrices=False)[2][:3]
    expected = rows @ axes.T
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    # axes may point either way, inner products do not; float32
    np.testing.assert_allclose(kept.codes().vectors @ kept.codes().vectors.T, expected @ expected.T, atol=1e-5)
    assert kept.encode(random_pictures(1)).shape == (1, 3, GRID, GRID)


@KINDS
def test_fewer_axes_are_read_back_with_the_same_ids(make, kind: str, tmp_path) -> None:
    kept, pictures = make(kind, code_dim=3), random_pictures(4)
    kept.save(tmp_path / "t.safetensors")
    loaded = load_tokenizer(tmp_path / "t.safetensors")
    with torch.no_grad():
        assert torch.equal(loaded.nearest(loaded.encode(pictures)), kept.nearest(kept.encode(pictures)))


@KINDS
def test_more_axes_than_there_are_are_refused(make, kind: str) -> None:
    with pytest.raises(ConfigError, match=f"code_dim: expected at most {DIM} for this codebook, found {DIM + 1}"):
        make(kind, code_dim=DIM + 1)


@KINDS
def test_training_goes_on_after_ids_were_taken_in_inference_mode(make, kind: str) -> None:
    tokenizer = make(kind)
    with torch.inference_mode():
        tokenizer.nearest(tokenizer.encode(random_pictures(2)))
    take_step(tokenizer, normalize(random(2, DIM, seed=1), dim=1))
    assert tokenizer.quant_conv.weight.grad is not None


@KINDS
def test_a_step_moves_encoder_and_decoder_and_no_code(make, kind: str) -> None:
    tokenizer = make(kind)
    before = {name: tensor.clone() for name, tensor in tokenizer.state_dict().items()}
    take_step(tokenizer, normalize(random(2, DIM, seed=1), dim=1))
    assert torch.equal(tokenizer.codebook.weight, before["codebook.weight"])
    assert tokenizer.codebook.weight.grad is None
    for name in ("encoder.conv_in.weight", "quant_conv.weight", "post_quant_conv.weight", "decoder.conv_out.weight"):
        assert not torch.equal(tokenizer.state_dict()[name], before[name])


@KINDS
def test_codes_stay_frozen_in_a_tokenizer_that_was_read(make, kind: str, tmp_path) -> None:
    make(kind).save(tmp_path / "t.safetensors")
    loaded = load_tokenizer(tmp_path / "t.safetensors")
    trained = {name for name, parameter in loaded.named_parameters() if parameter.requires_grad}
    assert "codebook.weight" not in trained
    assert "quant_conv.weight" in trained


@KINDS
def test_rows_that_are_equal_share_the_lowest_id(make, kind: str) -> None:
    rows, pictures = random(NUM_CODES // 2, DIM), random_pictures(8)
    twice = make(kind, torch.cat([rows, rows]))
    assert twice.vocab_size == NUM_CODES
    assert twice.codes().ids.tolist() == list(range(NUM_CODES // 2))
    with torch.no_grad():
        ids = twice.nearest(twice.encode(pictures))
        once = make(kind, rows)
        assert torch.equal(ids, once.nearest(once.encode(pictures)))
        back = make(kind, torch.cat([rows[:1], rows]))  # every row but the first comes one later
        assert torch.equal(back.nearest(back.encode(pictures)), torch.where(ids == 0, 0, ids + 1))


@KINDS
def test_equal_features_get_the_id_of_their_code(make, kind: str) -> None:
    tokenizer = make(kind)
    for code in (0, 17, NUM_CODES - 1):
        features = tokenizer.lookup(torch.tensor([code]))[:, :, None, None].expand(1, DIM, GRID, GRID)
        ids = tokenizer.nearest(features)
        assert (ids == code).all()
        # a mean of equal values, in float32
        torch.testing.assert_close(tokenizer.features_of(ids), features)


@pytest.mark.parametrize(("kind", "option"), [("lqae", "--llm-embeddings"), ("spae", "--embeddings")])
def test_a_missing_codebook_is_named_by_its_option(kind: str, option: str) -> None:
    tokenizer_class, config_class, own = CONFIGS[kind]
    with pytest.raises(ArtifactError, match=f"^train: this kind of tokenizer needs the input {option}, found none$"):
        tokenizer_class.make(config_class(**SIZES | own), Sources({"global_vectors": random(3, DIM)}))
