import torch

from .conftest import DIM, GRID, NUM_CODES, random, random_pictures


def most_similar(feature: torch.Tensor, rows: torch.Tensor) -> int:
    """The row of highest cosine, one at a time in double precision."""
    cosines = [float(feature @ row / (feature.norm() * row.norm())) for row in rows.double()]
    return cosines.index(max(cosines))


def test_ids_are_the_embeddings_of_highest_cosine_whatever_their_lengths(make) -> None:
    lengths = torch.linspace(0.01, 20, NUM_CODES)[:, None]
    rows = random(NUM_CODES, DIM) * lengths
    tokenizer = make("lqae", rows)
    pictures = random_pictures(3)
    with torch.no_grad():
        tokenizer.begin(pictures)
        raw = tokenizer.quant_conv(tokenizer.encoder(2 * pictures - 1)).double()  # before they are scaled
        ids = tokenizer.nearest(tokenizer.encode(pictures))
    assert ids.unique().numel() > 5
    expected = [
        [most_similar(raw[picture, :, row, column], rows) for row in range(GRID) for column in range(GRID)]
        for picture in range(3)
    ]
    assert ids.tolist() == expected


def test_features_have_unit_length_at_every_position(make) -> None:
    with torch.no_grad():
        features = make("lqae").encode(random_pictures(2))
    assert features.shape == (2, DIM, GRID, GRID)
    torch.testing.assert_close(features.norm(dim=1), torch.ones(2, GRID, GRID))


def test_a_picture_is_one_id_a_position_and_decodes_from_them(make) -> None:
    tokenizer, pictures = make("lqae"), random_pictures(2)
    with torch.no_grad():
        quantized = tokenizer.quantize(tokenizer.encode(pictures))
        assert quantized.ids.shape == (2, tokenizer.num_tokens) == (2, GRID**2)
        decoded = tokenizer.decode_ids(quantized.ids, None)
        # the straight-through sum rounds once more than the code itself
        torch.testing.assert_close(decoded, tokenizer.decode(quantized.features, None), atol=1e-5, rtol=0)
