from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from v2l.artifacts import read_arrays, sha256_file, write_arrays, write_rows
from v2l.config.tokenizer import TokensConfig
from v2l.data.images import fit_square, to_tensor
from v2l.errors import ArtifactError
from v2l.tokenizer.global_tokens import global_tokens
from v2l.tokenizer.local_tokens import encode_pictures, local_tokens

from ..parts import assert_parts_make_the_whole
from ..pictures import write_manifest
from .conftest import GLOBAL_DIM

NUM_PICTURES = 11


@pytest.fixture
def inputs(make_tokenizer, tmp_path: Path) -> dict[str, Path]:
    generator = np.random.default_rng(0)
    sizes = [(20, 17 + index, 3) for index in range(NUM_PICTURES)]
    write_manifest(tmp_path, [Image.fromarray(generator.integers(0, 256, size, dtype=np.uint8)) for size in sizes])
    features, codebook = (generator.standard_normal((n, GLOBAL_DIM), np.float32) for n in (NUM_PICTURES, 30))
    write_arrays(tmp_path / "features.safetensors", {"features": features})
    write_arrays(tmp_path / "global.safetensors", {"codebook": codebook})
    make_tokenizer().save(tmp_path / "tokenizer.safetensors")
    names = {"manifest": "manifest.parquet", "features": "features.safetensors", "global_vectors": "global.safetensors"}
    return {key: tmp_path / name for key, name in (names | {"tokenizer": "tokenizer.safetensors"}).items()}


def write_global(inputs: dict, path: Path, runtime, num_global: int = 6) -> None:
    given = {name: inputs[name] for name in ("manifest", "features", "global_vectors")}
    global_tokens(**given, tokens=path, config=TokensConfig(num_global=num_global), runtime=runtime)


def write_local(inputs: dict, path: Path, runtime, selection: Path | None = None) -> None:
    local_tokens(inputs["manifest"], inputs["tokenizer"], tokens=path, runtime=runtime, selection=selection)


def test_global_tokens_are_the_nearest_rows_of_every_picture(inputs: dict, tmp_path: Path, runtime) -> None:
    write_global(inputs, tmp_path / "tokens.parquet", runtime)
    frame = pd.read_parquet(tmp_path / "tokens.parquet")
    assert list(frame.columns) == ["image_id", "global_ids"]
    assert frame["image_id"].tolist() == [f"set/{index}" for index in range(NUM_PICTURES)]
    features = read_arrays(inputs["features"], ["features"])["features"].astype(np.float64)
    codebook = read_arrays(inputs["global_vectors"], ["codebook"])["codebook"].astype(np.float64)
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    distances = np.linalg.norm(unit[:, None] - codebook[None], axis=2)
    assert np.array_equal(np.stack(frame["global_ids"]), distances.argsort(axis=1)[:, :6])


@pytest.mark.parametrize("image_batch", [1, 3, 8])
def test_ids_do_not_depend_on_batch_size_or_precision(
    inputs: dict, tmp_path: Path, runtime, runtime_bf16, image_batch: int
):
    other = replace(runtime_bf16, image_batch=image_batch)
    for write in (write_global, write_local):
        write(inputs, tmp_path / "a.parquet", runtime)
        write(inputs, tmp_path / "b.parquet", other)
        assert sha256_file(tmp_path / "a.parquet") == sha256_file(tmp_path / "b.parquet")


def test_local_tokens_are_those_of_the_centre_crops(inputs: dict, make_tokenizer, tmp_path: Path, runtime) -> None:
    write_local(inputs, tmp_path / "tokens.parquet", runtime)
    frame = pd.read_parquet(tmp_path / "tokens.parquet")
    assert list(frame.columns) == ["image_id", "local_ids"]
    assert frame["image_id"].tolist() == [f"set/{index}" for index in range(NUM_PICTURES)]
    for index in (0, 7, 10):
        pixels = fit_square(Image.open(tmp_path / f"{index}.png"), 16)
        expected = encode_pictures(make_tokenizer(), pixels[None], torch.device("cpu"))[0]
        assert frame["local_ids"][index].tolist() == expected.tolist()


def test_selected_pictures_alone_are_encoded_as_among_all(inputs: dict, tmp_path: Path, runtime) -> None:
    write_local(inputs, tmp_path / "all.parquet", runtime)
    write_rows(tmp_path / "selection.parquet", [{"image_id": f"set/{index}"} for index in (9, 2, 4)])
    write_local(inputs, tmp_path / "some.parquet", runtime, tmp_path / "selection.parquet")
    everything, some = (pd.read_parquet(tmp_path / f"{name}.parquet") for name in ("all", "some"))
    assert some["image_id"].tolist() == ["set/2", "set/4", "set/9"]  # in the manifest's order
    assert np.array_equal(np.stack(some["local_ids"]), np.stack(everything["local_ids"])[[2, 4, 9]])


def test_parts_make_the_whole(inputs: dict, tmp_path: Path) -> None:
    given = {name: inputs[name] for name in ("manifest", "tokenizer")}
    assert_parts_make_the_whole("local-tokens", {}, given, tmp_path, (7, 13))
    write_rows(tmp_path / "selection.parquet", [{"image_id": f"set/{index}"} for index in (9, 2, 4)])
    given["selection"] = tmp_path / "selection.parquet"
    assert_parts_make_the_whole("local-tokens", {}, given, tmp_path / "selected")


@pytest.mark.parametrize(
    ("selected", "found"),
    [(["set/1", "set/11"], "'set/11', which is not in the manifest"), ([], "no picture")],
)
def test_selection_that_the_manifest_does_not_hold_is_refused(
    inputs: dict, tmp_path: Path, runtime, selected: list[str], found: str
) -> None:
    write_rows(tmp_path / "selection.parquet", pd.DataFrame({"image_id": pd.Series(selected, dtype="str")}))
    message = rf"selection\.parquet: image_id: expected pictures of the manifest, found {found}$"
    with pytest.raises(ArtifactError, match=message):
        write_local(inputs, tmp_path / "t.parquet", runtime, tmp_path / "selection.parquet")


def test_encoded_pictures_get_the_nearest_codes(make_tokenizer) -> None:
    tokenizer = make_tokenizer()
    pictures = np.random.default_rng(1).integers(0, 256, (10, 16, 16, 3), dtype=np.uint8)
    heard: list[int] = []
    ids = encode_pictures(tokenizer, pictures, torch.device("cpu"), heard.append)
    with torch.inference_mode():
        features = tokenizer.encode(to_tensor(pictures))
    assert ids.shape == (10, 64)
    assert heard == [8, 2]
    codes = tokenizer.lookup(torch.arange(40))
    distances = torch.cdist(features.flatten(2).mT, codes.detach()[None])
    chosen = distances.take_along_dim(torch.from_numpy(ids)[:, :, None], dim=2)[:, :, 0]
    # nearest up to the rounding of another batch size
    torch.testing.assert_close(chosen, distances.amin(dim=2), atol=1e-4, rtol=0)


def test_features_of_another_manifest_are_refused(inputs: dict, tmp_path: Path, runtime) -> None:
    write_arrays(inputs["features"], {"features": np.zeros((3, GLOBAL_DIM), np.float32)})
    with pytest.raises(
        ArtifactError, match=r"features\.safetensors: features: expected 11 rows, one per picture, found 3"
    ):
        write_global(inputs, tmp_path / "t.parquet", runtime)


def test_global_codebook_with_too_few_rows_is_refused(inputs: dict, tmp_path: Path, runtime) -> None:
    with pytest.raises(ArtifactError, match=r"global\.safetensors: codebook: expected at least 31 rows"):
        write_global(inputs, tmp_path / "t.parquet", runtime, num_global=31)
