from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from v2l.artifacts import write_arrays, write_rows
from v2l.config.tree import load_config
from v2l.data.images import fit_square, read_image
from v2l.errors import ArtifactError, DataError
from v2l.models.clip import ImageHead, load_clip
from v2l.tokenizer.api import V2LTokenizer
from v2l.tokenizer.inputs import select_global_tokens
from v2l.tokenizer.local_tokens import encode_pictures

from .conftest import GLOBAL_DIM

WORDS = [f"word {index}" for index in range(30)]


@pytest.fixture
def results(repository: Path, make_tokenizer, tmp_path: Path) -> Path:
    """The files of a finished run that the facade reads; the image head is random, the trunk is the real one."""
    folder = tmp_path / "results"
    for name in ("clip", "vocab", "tokenizer"):
        (folder / name).mkdir(parents=True)
    tree = yaml.safe_load((repository / "config" / "smoke.yaml").read_text(encoding="utf-8"))
    tree |= {"precision": "fp32"}
    (folder / "config.yaml").write_text(yaml.safe_dump(tree), encoding="utf-8")
    torch.manual_seed(0)
    head = ImageHead(1024, 16, GLOBAL_DIM).state_dict()
    write_arrays(folder / "clip/head.safetensors", {name: tensor.numpy() for name, tensor in head.items()})
    codebook = np.random.default_rng(0).standard_normal((len(WORDS), GLOBAL_DIM), np.float32)
    write_arrays(folder / "vocab/codebook_orders_1_3.safetensors", {"codebook": codebook})
    write_rows(folder / "vocab/codebook_orders_1_3.parquet", [{"text": word} for word in WORDS])
    make_tokenizer().save(folder / "tokenizer/v2l.safetensors")
    return folder


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(1).integers(0, 256, (40, 70, 4), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "picture.png")
    return tmp_path / "picture.png"


def test_encode_gives_what_the_stages_give(results: Path, assets: Path, picture: Path, make_tokenizer, runtime) -> None:
    found = V2LTokenizer.load(results, assets).encode(picture)
    config = load_config(results / "config.yaml")
    networks = assets / "networks/manifest.json"
    clip = load_clip(config.clip, runtime, head=results / "clip/head.safetensors", networks=networks)
    image = read_image(picture)
    feature = clip.encode_image(clip.preprocess(image)[None])
    codebook = torch.from_numpy(np.random.default_rng(0).standard_normal((len(WORDS), GLOBAL_DIM), np.float32))
    assert found.global_ids == select_global_tokens(feature, codebook, 21, Path()).tolist()[0]
    assert found.words == [WORDS[row] for row in found.global_ids]
    pixels = np.stack([fit_square(image, 16)] * 3)
    assert found.local_ids == encode_pictures(make_tokenizer(), pixels, torch.device("cpu")).tolist()[2]


def test_path_text_and_image_are_the_same_picture(results: Path, assets: Path, picture: Path) -> None:
    tokenizer = V2LTokenizer.load(results, assets)
    from_path = tokenizer.encode(picture)
    assert tokenizer.encode(str(picture)) == from_path
    with Image.open(picture) as image:  # transparent, as the file is
        assert tokenizer.encode(image) == from_path
    assert tokenizer.encode(read_image(picture)) == from_path


def test_decode_gives_a_picture_that_follows_both_kinds_of_tokens(results: Path, assets: Path) -> None:
    tokenizer = V2LTokenizer.load(results, assets)
    image = tokenizer.decode([0, 1, 2, 3, 4], list(range(40)) + [0] * 24)
    assert (image.mode, image.size) == ("RGB", (16, 16))
    assert np.array_equal(image, tokenizer.decode([0, 1, 2], list(range(40)) + [0] * 24))  # the decoder takes three
    assert not np.array_equal(image, tokenizer.decode([0, 1, 5], list(range(40)) + [0] * 24))
    assert not np.array_equal(image, tokenizer.decode([0, 1, 2], [7] * 64))


def test_what_is_missing_is_named(results: Path, assets: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"absent\.png: picture not found"):
        V2LTokenizer.load(results, assets).encode(tmp_path / "absent.png")
    write_rows(results / "vocab/codebook_orders_1_3.parquet", [{"text": "one"}])
    with pytest.raises(
        ArtifactError, match=r"codebook_orders_1_3\.safetensors: codebook: expected 1 rows, .* found 30"
    ):
        V2LTokenizer.load(results, assets)
    (results / "tokenizer/v2l.safetensors").unlink()
    (results / "vocab/codebook_orders_1_3.safetensors").unlink()
    with pytest.raises(ArtifactError, match=r"codebook_orders_1_3\.safetensors: file not found"):
        V2LTokenizer.load(results, assets)
