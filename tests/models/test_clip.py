import json
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image

from v2l.artifacts import write_arrays
from v2l.config.clip import LockedTextConfig, OpenClipConfig
from v2l.errors import ArtifactError, ModelError
from v2l.models.clip import ImageHead, ImageTrunk, LockedTextClip, OpenClip, load_clip, load_head, normalise_pixels

from .. import small_models


def random_picture(width: int, height: int) -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize((width, height))


def test_normalise_pixels_is_the_textbook_formula() -> None:
    pixels = torch.rand(2, 3, 4, 5)
    mean, std = (0.1, 0.2, 0.3), (0.5, 0.6, 0.7)
    expected = torch.stack([(pixels[:, c] - mean[c]) / std[c] for c in range(3)], dim=1)
    torch.testing.assert_close(normalise_pixels(pixels, mean, std), expected)


def test_open_clip_equals_the_library_with_its_own_preprocessing(tiny_open_clip: OpenClipConfig, runtime) -> None:
    torch.manual_seed(0)
    ours = OpenClip(tiny_open_clip, runtime)
    torch.manual_seed(0)
    model, _, preprocess = open_clip.create_model_and_transforms("tiny", pretrained=None)
    model.eval()
    picture = random_picture(90, 70)
    with torch.inference_mode():
        image = model.encode_image(preprocess(picture)[None], normalize=True)
        text = model.encode_text(open_clip.get_tokenizer("tiny")(["a cat", "a dog"]), normalize=True)
    assert (ours.dim, ours.size_px) == (32, 48)
    # resizing rounds to 8 bits in both; float32 rounding of a two-layer transformer
    torch.testing.assert_close(ours.encode_image(ours.preprocess(picture)[None]), image, atol=1e-5, rtol=0)
    torch.testing.assert_close(ours.encode_text(["a cat", "a dog"]), text, atol=1e-5, rtol=0)


TEXTS = ["a", "a photo of a polar bear.", "naïve 🦒 café", "word " * 100, "dog", ""]


@pytest.mark.parametrize("other", [{}, {"no_causal_mask": True}, {"pool_type": "last"}], ids=str)
def test_texts_of_any_length_equal_the_librarys_with_its_padding(other: dict, tmp_path: Path, runtime) -> None:
    """Towers that see what follows, or are read off the last place, get their padding."""
    architecture = small_models.open_clip_architecture(dim=32)
    architecture["text_cfg"] |= other
    name = f"tiny-{len(other)}-{next(iter(other), '')}"
    (tmp_path / f"{name}.json").write_text(json.dumps(architecture))
    open_clip.add_model_config(tmp_path)
    torch.manual_seed(0)
    ours = OpenClip(OpenClipConfig(model=name, pretrained=None), runtime)
    torch.manual_seed(0)
    model = open_clip.create_model(name).eval()
    with torch.inference_mode():
        expected = model.encode_text(open_clip.get_tokenizer(name)(TEXTS), normalize=True)
    seen: list[int] = []
    found = ours.encode_text(TEXTS, seen.append)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)  # float32 rounding of a two-layer transformer
    assert sum(seen) == len(TEXTS)
    for place, text in enumerate(TEXTS):  # neighbours do not count
        assert torch.equal(ours.encode_text([text, "another"])[0], found[place])


@pytest.mark.parametrize(
    ("model", "pretrained", "quick"),
    [
        ("ViT-L-14", "openai", True),
        ("ViT-L/14", "openai", True),
        ("ViT-L-14", "laion2b_s32b_b82k", False),
        ("ViT-L-14", "weights.pt", False),
    ],
)
def test_weights_get_the_activation_they_were_trained_with(
    model: str, pretrained: str, quick: bool, runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    def create(*_: object, force_quick_gelu: bool) -> None:
        raise RuntimeError(f"activation: {force_quick_gelu}")

    monkeypatch.setattr(open_clip, "create_model", create)
    with pytest.raises(ModelError, match=f"activation: {quick}"):
        OpenClip(OpenClipConfig(model=model, pretrained=pretrained), runtime)


def test_unknown_open_clip_model_is_refused_in_one_line(runtime) -> None:
    with pytest.raises(ModelError, match=r"open_clip model 'ViT-Q-1' .* cannot be loaded") as error:
        load_clip(OpenClipConfig(model="ViT-Q-1", pretrained=None), runtime)
    assert "\n" not in str(error.value)


def test_trunk_pools_by_mean_and_maximum(assets: Path, runtime) -> None:
    trunk = ImageTrunk(assets / "networks" / "manifest.json", runtime)
    pixels = torch.rand(2, 3, 64, 64)
    features = trunk.encode(pixels)
    assert features.shape == (2, ImageTrunk.dim)
    assert (features[:, :512] <= features[:, 512:]).all()
    constant = trunk.encode(torch.full((1, 3, 32, 32), 0.5))  # one cell is left: its mean is its maximum
    torch.testing.assert_close(constant[:, :512], constant[:, 512:])


def test_head_standardises_and_has_unit_outputs() -> None:
    head = ImageHead(4, 8, 3, dropout=0.5, input_noise=0.3).eval()
    head.mean.fill_(2.0)
    head.std.fill_(4.0)
    features = torch.randn(5, 4)
    output = head(features)
    torch.testing.assert_close(output.norm(dim=1), torch.ones(5))
    head.mean.zero_()
    head.std.fill_(1.0)
    torch.testing.assert_close(head((features - 2.0) / 4.0), output)


def test_locked_text_clip_joins_trunk_head_and_text(assets: Path, runtime, tmp_path: Path) -> None:
    head = ImageHead(ImageTrunk.dim, 16, 384).eval()
    write_arrays(tmp_path / "head.safetensors", {k: v.numpy() for k, v in head.state_dict().items()})
    networks = assets / "networks" / "manifest.json"
    clip = load_clip(
        LockedTextConfig(trunk_size_px=64), runtime, tmp_path / "head.safetensors", networks,
        assets / "text_encoder" / "manifest.json",
    )  # fmt: skip
    assert isinstance(clip, LockedTextClip)
    pixels = clip.preprocess(random_picture(100, 80))[None]
    assert pixels.shape == (1, 3, 64, 64)
    torch.testing.assert_close(clip.encode_image(pixels), head(ImageTrunk(networks, runtime).encode(pixels)).detach())
    assert clip.encode_text(["a cat"]).shape == (1, clip.dim)


def test_something_else_than_a_head_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "head.safetensors"
    write_arrays(path, {"layers.0.weight": np.ones((8, 4), np.float32), "layers.3.weight": np.ones((3, 9), np.float32)})
    with pytest.raises(ArtifactError, match=r"head\.safetensors: weights do not fit ImageHead"):
        load_head(path)
