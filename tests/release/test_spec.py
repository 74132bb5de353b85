"""A specification must describe the tensors beside it; every other one is refused in a line that names the key."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from v2l.errors import ArtifactError
from v2l.release.spec import load_release

from .conftest import Model


@pytest.fixture
def own_checkpoint(write_checkpoint) -> Path:
    return write_checkpoint()


def load(stem: Path):
    return load_release(stem.with_suffix(".json"), stem.with_suffix(".checkpoint.safetensors"))


def edit_spec(stem: Path, *, drop: tuple[str, ...] = (), ddconfig: dict | None = None, **changes) -> None:
    path = stem.with_suffix(".json")
    content = json.loads(path.read_text()) | changes
    content["ddconfig"] |= ddconfig or {}
    for key in drop:
        content.pop(key, None)
        content.get("ddconfig", {}).pop(key, None)
    path.write_text(json.dumps(content))


def test_sizes_come_from_both_files(own_checkpoint: Path) -> None:
    tokenizer, codebook = load(own_checkpoint)
    config, model = tokenizer.config, Model()
    assert (config.base_channels, config.channel_multipliers, config.z_channels) == (32, [1, 1, 2], 16)
    assert (config.code_dim, config.num_global, config.cross_attention_heads) == (24, model.top_k, model.heads)
    assert (config.image_size_px, config.attention_levels, config.unit_features) == (16, [], True)
    assert tokenizer.tok_embeddings.weight.shape == (50, 20)
    assert codebook.shape == (30, 20)


def test_keys_that_the_networks_do_not_need_may_be_absent(own_checkpoint: Path) -> None:
    edit_spec(own_checkpoint, drop=("double_z", "dropout", "in_channels", "out_ch", "resolution", "attn_resolutions"))
    assert load(own_checkpoint)[0].config.attention_levels == []


def test_number_of_global_tokens_may_be_absent_where_there_is_no_cross_attention(write_checkpoint) -> None:
    stem = write_checkpoint(cross_attention=False)
    edit_spec(stem, drop=("top_k",))
    assert load(stem)[0].config.num_global == 0


@pytest.mark.parametrize(
    ("resolution", "wanted", "levels"),
    [(256, [64], [2]), (256, [256, 128], [0, 1]), (128, [32, 16], [2]), (64, [], []), (300, [150], [1])],
)
def test_attention_lies_where_the_nominal_resolution_says(write_checkpoint, resolution, wanted, levels) -> None:
    stem = write_checkpoint(resolution=resolution, attn_resolutions=wanted, attention=tuple(levels))
    assert load(stem)[0].config.attention_levels == levels


@pytest.mark.parametrize(("width", "said", "found"), [(24, None, True), (24, False, False), (24, True, True)])
def test_specification_says_whether_features_are_scaled(write_checkpoint, width, said, found) -> None:
    stem = write_checkpoint(code_dim=width)
    if said is not None:
        edit_spec(stem, unit_features=said)
    assert load(stem)[0].config.unit_features is found


def test_features_as_wide_as_clip_are_scaled(write_checkpoint) -> None:
    stem = write_checkpoint(code_dim=768)
    files = stem.with_suffix(".json"), stem.with_suffix(".checkpoint.safetensors")
    assert load_release(*files, unit_features=False)[0].config.unit_features
    edit_spec(stem, unit_features=False)
    assert not load(stem)[0].config.unit_features


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"drop": ("top_k",)}, "expected key top_k, not found"),
        ({"drop": ("image_size",)}, "expected key image_size, not found"),
        ({"drop": ("ch_mult",)}, r"expected key ddconfig\.ch_mult, not found"),
        ({"drop": ("ddconfig",)}, "expected key ddconfig with the networks' arguments, not found"),
        ({"ddconfig": {"ch": 64}}, r"ddconfig\.ch: expected 32 as in \S+\.checkpoint\.safetensors, found 64"),
        ({"ddconfig": {"ch_mult": [1, 2]}}, r"ddconfig\.ch_mult: expected \[1, 1, 2\] as in \S+, found \[1, 2\]"),
        ({"ddconfig": {"num_res_blocks": 2}}, r"ddconfig\.num_res_blocks: expected 1 as in \S+, found 2"),
        ({"ddconfig": {"z_channels": 8}}, r"ddconfig\.z_channels: expected 16 as in \S+, found 8"),
        ({"ddconfig": {"double_z": True}}, r"ddconfig\.double_z: expected false, no other is supported, found true"),
        ({"ddconfig": {"resamp_with_conv": False}}, r"ddconfig\.resamp_with_conv: expected true, no other .* false"),
        ({"ddconfig": {"in_channels": 1}}, r"ddconfig\.in_channels: expected 3, no other is supported, found 1"),
        ({"ddconfig": {"out_ch": 4}}, r"ddconfig\.out_ch: expected 3, no other is supported, found 4"),
        ({"ddconfig": {"attn_resolutions": 16}}, r"ddconfig\.attn_resolutions: expected a list, found 16"),
        (
            {"ddconfig": {"attn_resolutions": [64]}},
            r"ddconfig\.attn_resolutions \[64\] of resolution 256: expected attention at levels \[\] as in \S+, "
            r"found \[2\]",
        ),
        (
            {"ddconfig": {"resolution": 102, "attn_resolutions": [50]}},
            r"ddconfig\.resolution: expected a multiple of 4, 2\^\(levels - 1\), found 102",
        ),
        ({"image_size": 18}, r"image_size: expected a multiple of 4, 2\^\(levels - 1\), found 18"),
        ({"image_size": "16"}, r'image_size: expected a multiple of 4, .*, found "16"'),
        ({"top_k": 0}, "top_k: expected a whole number above 0, found 0"),
        ({"local_vocab": 51}, r"local_vocab: expected 50 as in \S+, found 51"),
        ({"global_vocab": 31}, r"global_vocab: expected 30 as in \S+, found 31"),
        ({"embed_dim": 768}, r"embed_dim: expected 24 as in \S+, found 768"),
        ({"unit_features": "no"}, 'unit_features: expected true or false, found "no"'),
    ],
)
def test_specification_that_does_not_describe_the_tensors_is_named(own_checkpoint: Path, changes, message: str) -> None:
    edit_spec(own_checkpoint, **changes)
    with pytest.raises(ArtifactError, match=rf"/own\.json: {message}") as raised:
        load(own_checkpoint)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("content", ["[]", '{"ddconfig": 3}', "{"])
def test_specification_that_is_no_object_is_refused(own_checkpoint: Path, content: str) -> None:
    own_checkpoint.with_suffix(".json").write_text(content)
    with pytest.raises(ArtifactError, match=r"/own\.json: (expected key ddconfig|not valid JSON)"):
        load(own_checkpoint)


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("encoder.extra", (1,), r"unexpected encoder\.extra"),
        ("encoder.down.0.downsample.conv.weight", None, r"missing encoder\.down\.0\.downsample\.conv\.weight"),
        ("decoder.conv_out.weight", (1, 32, 3, 3), r"decoder\.conv_out\.weight: expected shape \[3, 32, 3, 3\], found"),
        ("encoder.conv_in.weight", (32, 4, 3, 3), r"encoder\.conv_in\.weight: expected shape \[32, 3, 3, 3\], found"),
        ("encoder.conv_in.weight", (16, 3, 3, 3), r"own\.json: ddconfig\.ch: expected 16 as in \S+, found 32"),
    ],
)
def test_tensors_that_are_missing_extra_or_of_another_shape_are_named(own_checkpoint, name, shape, message) -> None:
    checkpoint = own_checkpoint.with_suffix(".checkpoint.safetensors")
    tensors = load_file(checkpoint)
    tensors.pop(name, None)
    save_file(tensors | ({} if shape is None else {name: torch.zeros(shape)}), checkpoint)
    with pytest.raises(ArtifactError, match=message) as raised:
        load(own_checkpoint)
    assert "own." in str(raised.value)
    assert "\n" not in str(raised.value)


def test_width_that_cannot_be_normalised_in_groups_is_refused(write_checkpoint) -> None:
    """The release has 32 groups whatever the width."""
    stem = write_checkpoint(ch=24)
    with pytest.raises(ArtifactError, match=r"own\.json with \S+: norm_groups must divide base_channels 24, found 32"):
        load(stem)
