import pytest
import torch
from torch.nn.functional import normalize

from v2l.tokenizer import quantizers
from v2l.tokenizer.quantizers import distinct_rows, nearest_codes, nearest_rows, quantizer_loss, straight_through


def slow_nearest(features: torch.Tensor, codebook: torch.Tensor) -> list[int]:
    ids = []
    for feature in features.double():
        distances = [float(((feature - code) ** 2).sum()) for code in codebook.double()]
        ids.append(distances.index(min(distances)))
    return ids


@pytest.mark.parametrize("num_codes", [1, 63, 64, 200])
def test_nearest_codes_equals_a_slow_loop(monkeypatch: pytest.MonkeyPatch, num_codes: int) -> None:
    monkeypatch.setattr(quantizers, "CODE_BLOCK", 128)  # so that there are several blocks both ways
    monkeypatch.setattr(quantizers, "POSITION_BLOCK", 16)
    features, codebook = normalize(torch.randn(41, 8), dim=1), torch.randn(num_codes, 8)
    assert nearest_codes(features, codebook).tolist() == slow_nearest(features, codebook)


def test_nearest_codes_keeps_the_leading_shape() -> None:
    features, codebook = torch.randn(2, 3, 5), torch.randn(9, 5)
    assert torch.equal(nearest_codes(features, codebook), nearest_codes(features.reshape(6, 5), codebook).reshape(2, 3))


def test_tie_goes_to_lowest_index() -> None:
    codebook = torch.tensor([[3.0, 0.0], [0.0, 1.0], [0.0, -1.0], [1.0, 0.0]]).repeat(3000, 1)  # over several blocks
    features = torch.tensor([[1.0, 0.0], [0.0, 0.0], [0.0, 2.0], [2.5, 0.0]])
    assert nearest_codes(features, codebook).tolist() == [3, 1, 1, 0]
    assert nearest_rows(torch.tensor([[1.0, 0.0]]), codebook[:12], 5).tolist() == [[3, 7, 11, 1, 2]]


def test_ids_do_not_depend_on_the_other_features_of_the_batch() -> None:
    features, codebook = normalize(torch.randn(300, 32), dim=1), torch.randn(5000, 32)
    together = nearest_codes(features, codebook)
    for start, count in ((0, 1), (17, 2), (250, 33), (299, 1)):
        assert torch.equal(nearest_codes(features[start : start + count], codebook), together[start : start + count])


def test_no_more_than_one_block_of_distances_exists(monkeypatch: pytest.MonkeyPatch) -> None:
    shapes = []
    addmm = torch.addmm
    monkeypatch.setattr(
        torch, "addmm", lambda *args, **kwargs: shapes.append((out := addmm(*args, **kwargs)).shape) or out
    )
    nearest_codes(torch.randn(1000, 4), torch.randn(9000, 4))
    assert len(shapes) == 4 * 3
    assert max(rows * columns for rows, columns in shapes) == quantizers.POSITION_BLOCK * quantizers.CODE_BLOCK


def test_nearest_rows_are_those_of_highest_cosine_for_unit_rows() -> None:
    features, codebook = 5 * torch.randn(300, 16), normalize(torch.randn(70, 16), dim=1)
    cosine = normalize(features, dim=1).double() @ codebook.double().T
    expected = cosine.sort(dim=1, descending=True).indices[:, :21]
    assert torch.equal(nearest_rows(features, codebook, 21), expected)


def test_nearest_rows_uses_distance_not_cosine_for_rows_of_other_lengths() -> None:
    codebook = torch.tensor([[10.0, 0.0], [0.6, 0.6]])  # the first has cosine 1, but is far away
    assert nearest_rows(torch.tensor([[7.0, 0.0]]), codebook, 2).tolist() == [[1, 0]]


@pytest.mark.parametrize("search", [nearest_codes, lambda features, codebook: nearest_rows(features, codebook, 1)])
def test_widths_that_differ_and_empty_codebooks_are_refused(search) -> None:
    with pytest.raises(ValueError, match="features are 3-dimensional, codes 4-dimensional"):
        search(torch.zeros(2, 3), torch.zeros(5, 4))
    with pytest.raises(ValueError, match="the codebook is empty"):
        search(torch.zeros(2, 3), torch.zeros(0, 3))


def test_more_rows_than_the_codebook_has_are_refused() -> None:
    with pytest.raises(ValueError, match="6 nearest rows are asked of a codebook of 5"):
        nearest_rows(torch.zeros(2, 3), torch.zeros(5, 3), 6)


def test_distinct_rows_are_the_first_of_their_kind() -> None:
    rows = torch.tensor([[1.0, 2.0], [0.0, 0.0], [1.0, 2.0], [1.0, 3.0], [0.0, 0.0], [-1.0, 2.0]])
    assert distinct_rows(rows).tolist() == [0, 1, 3, 5]


def test_straight_through_has_the_codes_values_and_the_features_gradient() -> None:
    features, codes = torch.randn(2, 3, requires_grad=True), torch.randn(2, 3, requires_grad=True)
    weights = torch.randn(2, 3)
    out = straight_through(features, codes)
    torch.testing.assert_close(out, codes)  # z + (c - z) rounds once more than c
    (out * weights).sum().backward()
    assert torch.equal(features.grad, weights)
    assert codes.grad is None


def test_quantizer_loss_by_hand() -> None:
    features = torch.tensor([1.0, 2.0], requires_grad=True)
    codes = torch.tensor([3.0, 2.0], requires_grad=True)
    loss = quantizer_loss(features, codes, codebook_weight=0.25)
    loss.backward()
    assert loss.item() == pytest.approx(2.0 + 0.25 * 2.0)
    assert features.grad.tolist() == [-2.0, 0.0]  # d mean (c - z)^2 / dz = -2 (3 - 1) / 2
    assert codes.grad.tolist() == [0.5, 0.0]  # the weighted term alone
