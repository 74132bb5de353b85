import pytest
import torch

from .conftest import DIM, GRID, NUM_CODES, random, random_pictures, take_step


def test_codes_start_about_as_long_as_unit_codes_and_in_all_directions(make) -> None:
    codes = make("vqgan", num_codes=4000).lookup(torch.arange(4000))
    # mean of 4000 squared lengths, each with standard deviation sqrt(2 / 6): five standard errors are 0.046
    assert codes.square().sum(dim=1).mean().item() == pytest.approx(1, abs=0.05)
    # each component of the mean code has standard error 0.0065
    assert codes.mean(dim=0).abs().max() < 0.033


def test_a_code_is_the_row_of_its_id_and_every_row_is_searched(make) -> None:
    tokenizer = make("vqgan")
    assert tokenizer.vocab_size == NUM_CODES
    assert torch.equal(tokenizer.lookup(torch.tensor([[7, 0]])), tokenizer.codebook.weight[[7, 0]][None])
    rows = tokenizer.codebook.weight.detach()
    features = rows[torch.arange(NUM_CODES)[: GRID**2] + 20].T.reshape(1, DIM, GRID, GRID)
    assert tokenizer.nearest(features).tolist() == [list(range(20, 20 + GRID**2))]


def test_a_step_moves_the_codes_in_use_and_the_search_sees_it(make) -> None:
    tokenizer = make("vqgan")
    before = tokenizer.codes().vectors.clone()
    ids = take_step(tokenizer)
    used = torch.zeros(NUM_CODES, dtype=torch.bool)
    used[ids.unique()] = True
    moved = (tokenizer.codes().vectors != before).any(dim=1)
    assert 0 < used.sum() < NUM_CODES
    assert torch.equal(moved, used)
    assert torch.equal(tokenizer.codes().vectors, tokenizer.codebook.weight.detach())


def test_codes_are_drawn_to_their_features_by_the_weighted_term_alone(make) -> None:
    """Oracle: the derivative of weight * mean (c - z)^2, summed over the positions of each code."""
    tokenizer = make("vqgan").double()
    features = random(2, DIM, GRID, GRID).double()
    quantized = tokenizer.quantize(features, codebook_weight=0.25)
    quantized.loss.backward()
    expected = torch.zeros(NUM_CODES, DIM, dtype=torch.float64)
    for picture in range(2):
        for position, code in enumerate(quantized.ids[picture].tolist()):
            feature = features[picture, :, position // GRID, position % GRID]
            expected[code] += 0.25 * 2 * (tokenizer.codebook.weight[code].detach() - feature) / features.numel()
    # float64 sums of a few dozen terms around 0.01
    torch.testing.assert_close(tokenizer.codebook.weight.grad, expected, atol=1e-12, rtol=0)


def test_training_begins_with_more_codes_in_use_than_a_fresh_encoder_has(make) -> None:
    tokenizer, pictures = make("vqgan"), random_pictures(16)
    with torch.no_grad():
        fresh = tokenizer.nearest(tokenizer.encode(pictures)).unique().numel()
        tokenizer.begin(pictures)
        aligned = tokenizer.nearest(tokenizer.encode(pictures)).unique().numel()
    assert aligned > max(fresh, NUM_CODES // 2)
