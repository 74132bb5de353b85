import pytest
import torch

from v2l.tokenizer.decoder import Decoder

from . import reference
from .conftest import GLOBAL_DIM


def inputs(num_global: int) -> tuple[torch.Tensor, torch.Tensor | None]:
    context = torch.randn(2, num_global, GLOBAL_DIM, dtype=torch.float64) if num_global else None
    return torch.randn(2, 8, 3, 4, dtype=torch.float64), context


@pytest.mark.parametrize("num_global", [0, 3])
def test_equals_the_slow_reference(make_tokenizer, num_global: int) -> None:
    decoder = make_tokenizer(num_global=num_global).decoder.double()
    features, context = inputs(num_global)
    state = reference.part(decoder.state_dict(), "")
    expected = reference.decode(state, features, context, levels=2, blocks=1, heads=2)
    assert expected.shape == (2, 3, 6, 8)
    # float64 on both sides: in float32 the normalisation after the cross-attention magnifies rounding to 1e-3
    torch.testing.assert_close(decoder(features, context), expected, atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("levels", [[0], [1], [0, 1]])
def test_attention_after_every_block_of_a_level_equals_the_slow_reference(make_tokenizer, levels: list[int]) -> None:
    decoder = make_tokenizer(attention_levels=levels).decoder.double()
    features, context = inputs(3)
    state = reference.part(decoder.state_dict(), "")
    names = {name.rsplit(".", 2)[0] for name in state if ".attn." in name}
    assert names == {f"up.{level}.attn.{block}" for level in levels for block in range(2)}
    expected = reference.decode(state, features, context, levels=2, blocks=1, heads=2)
    torch.testing.assert_close(decoder(features, context), expected, atol=1e-9, rtol=1e-9)


def test_without_global_tokens_there_is_no_cross_attention() -> None:
    decoder = Decoder(32, [1, 1], num_res_blocks=1, z_channels=4, groups=32, context_dim=None)
    assert not [name for name in decoder.state_dict() if "cross_attn" in name]
    assert decoder(torch.zeros(1, 4, 8, 8), None).shape == (1, 3, 16, 16)


def test_order_of_the_global_tokens_is_irrelevant(make_tokenizer) -> None:
    decoder = make_tokenizer().decoder.double()
    features, context = inputs(3)
    torch.testing.assert_close(
        decoder(features, context), decoder(features, context[:, [2, 0, 1]]), atol=1e-9, rtol=1e-9
    )


def test_cross_attention_has_no_residual_connection(make_tokenizer) -> None:
    """With one global token every position gets the same value, so the local tokens cannot be seen."""
    decoder = make_tokenizer(num_global=1).decoder.double()
    (first, context), (second, _) = inputs(1), inputs(1)
    cross_attention = decoder.mid.cross_attn_1
    width = cross_attention.to_q.in_features
    first, second = (torch.randn(2, width, 3, 4, dtype=torch.float64) for _ in range(2))
    torch.testing.assert_close(cross_attention(first, context), cross_attention(second, context), atol=1e-12, rtol=0)
