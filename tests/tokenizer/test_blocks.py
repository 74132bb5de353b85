import torch

from v2l.tokenizer.blocks import AttnBlock, CrossAttention, GroupNorm, Level, ResnetBlock


def test_residual_adds_the_input_to_the_cross_attention() -> None:
    torch.manual_seed(0)
    plain, added = (CrossAttention(8, context_dim=5, heads=2, residual=residual) for residual in (False, True))
    added.load_state_dict(plain.state_dict())
    x, context = torch.randn(2, 8, 3, 4), torch.randn(2, 3, 5)
    torch.testing.assert_close(added(x, context), x + plain(x, context))


def test_groups_are_normalised_each_on_its_own() -> None:
    x = torch.randn(2, 8, 3, 3) * torch.arange(1, 9).view(1, 8, 1, 1)
    groups = GroupNorm(8, groups=2)(x).reshape(2, 2, -1)
    torch.testing.assert_close(groups.mean(dim=2), torch.zeros(2, 2), atol=1e-6, rtol=0)
    torch.testing.assert_close(groups.var(dim=2, unbiased=False), torch.ones(2, 2), atol=1e-5, rtol=0)


def test_normalisation_runs_in_the_precision_of_its_weights() -> None:
    x = torch.randn(1, 8, 3, 3).bfloat16()
    norm = GroupNorm(8, groups=2)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(norm(x), norm(x.float()))
        assert norm(x).dtype == torch.float32


def test_attention_of_a_level_follows_each_of_its_blocks() -> None:
    torch.manual_seed(0)
    blocks, attention = [ResnetBlock(8, 8, 2) for _ in range(2)], [AttnBlock(8, 2) for _ in range(2)]
    x = torch.randn(1, 8, 3, 4)
    expected = attention[1](blocks[1](attention[0](blocks[0](x))))
    assert torch.equal(Level(blocks, attention)(x), expected)
    assert torch.equal(Level(blocks, [])(x), blocks[1](blocks[0](x)))
