import pytest
import torch

from v2l.tokenizer.encoder import Encoder

from . import reference


def test_equals_the_slow_reference(make_tokenizer) -> None:
    encoder = make_tokenizer().encoder.double()
    pictures = torch.rand(2, 3, 12, 8, dtype=torch.float64) * 2 - 1
    expected = reference.encode(reference.part(encoder.state_dict(), ""), pictures, levels=2, blocks=1)
    assert expected.shape == (2, 8, 6, 4)
    # float64 on both sides, so that rounding cannot hide a wrong formula
    torch.testing.assert_close(encoder(pictures), expected, atol=1e-10, rtol=1e-10)


@pytest.mark.parametrize("levels", [[0], [1], [0, 1]])
def test_attention_after_every_block_of_a_level_equals_the_slow_reference(make_tokenizer, levels: list[int]) -> None:
    encoder = make_tokenizer(attention_levels=levels, num_res_blocks=2).encoder.double()
    state = reference.part(encoder.state_dict(), "")
    names = {name.rsplit(".", 2)[0] for name in state if ".attn." in name}
    assert names == {f"down.{level}.attn.{block}" for level in levels for block in range(2)}
    pictures = torch.rand(1, 3, 8, 6, dtype=torch.float64) * 2 - 1
    expected = reference.encode(state, pictures, levels=2, blocks=2)
    torch.testing.assert_close(encoder(pictures), expected, atol=1e-10, rtol=1e-10)


def test_halves_the_picture_once_less_than_it_has_levels() -> None:
    encoder = Encoder(32, [1, 1, 2, 2], num_res_blocks=2, z_channels=5, groups=32)
    assert encoder(torch.zeros(1, 3, 64, 32)).shape == (1, 5, 8, 4)


def test_picture_does_not_depend_on_its_neighbours(make_tokenizer) -> None:
    encoder = make_tokenizer().encoder
    pictures = torch.rand(3, 3, 16, 16)
    # another batch size may round the last bits differently
    torch.testing.assert_close(encoder(pictures)[1:2], encoder(pictures[1:2]), atol=1e-5, rtol=1e-5)
