from dataclasses import fields
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from v2l.artifacts import read_json, write_rows
from v2l.claims.stage import claims
from v2l.claims.statistics import CONTRADICTED, NOT_TESTED, SUPPORTED, VERDICTS, Claim
from v2l.config.claims import ClaimsConfig
from v2l.config.llm import LlmConfig
from v2l.errors import ArtifactError

IDS = [
    *(f"few_shot_{name}" for name in ("global_tokens", "induction", "shots", "repeats")),
    *(f"few_shot_beats_{name}" for name in ("vqgan", "lqae", "spae")),
    *("expansion_clip", "expansion_clip_r", "filtering_clip", "filtering_clip_r"),
    *(
        f"reconstruction_{rival}_{measure}"
        for rival in ("v2l_no_global", "v2l_no_projector", "vqgan", "lqae", "spae")
        for measure in ("psnr", "lpips_vgg")
    ),
    *(f"restoration_{task}" for task in ("inpainting", "outpainting", "deblurring", "rotation", "shift")),
    *("masked_tuning", "captions", "answers", "larger_llms"),
]
PICTURES = pd.DataFrame({"image_id": ["s/0", "s/1", "s/2"], "unused": "x"})
# V2L is better than VQ-GAN in all pictures, and not equally so.
GAINS = pd.Series([0.3, 0.2, 0.25])


def store(path: Path, *frames: pd.DataFrame) -> Path:
    path.parent.mkdir(exist_ok=True)
    write_rows(path, pd.concat(frames))
    return path


def tokenizer_rows(folder: Path, family: str, name: str) -> Path:
    gain = GAINS if name == "v2l" else 0 * GAINS
    frame = PICTURES.assign(tokenizer=name, task="shift", condition="restored", psnr=20 + gain, lpips_vgg=0.5 - gain)
    return store(folder / family / f"rows_{name}.parquet", frame)


def decisions(folder: Path, name: str) -> Path:
    frame = pd.DataFrame(
        {
            "episode_id": ["2-way/0", "2-way/1", "2-way/2"], "query_id": "noto/ant", "run": name, "ways": 2,
            "words": name, "llm": "some-llm", "llm_parameters": 7_000_000,
            "num_global": 5, "setting": "induction, K=1, repeats=0", "induction": True, "shots": 1, "repeats": 0,
            "correct": [name == "v2l", name == "v2l", False],
        }
    )  # fmt: skip
    return store(folder / "classify" / f"predictions_{name}.parquet", frame)


def conditions(path: Path, column: str, better: str, worse: str) -> Path:
    frames = [
        PICTURES.assign(condition=name, **{column: 0.4 + gain}) for name, gain in ((better, GAINS), (worse, 0 * GAINS))
    ]
    return store(path, *frames)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Any]:
    """Rows of every experiment, of V2L and VQ-GAN."""
    codebooks = [
        PICTURES.assign(codebook=name, num_global=5, clip=0.5 + gain, clip_r=0.5 + gain, codebook_size=size)
        for name, gain, size in (("order_1", 0 * GAINS, 20), ("orders_1_3", GAINS, 30), ("unfiltered", GAINS, 90))
    ]
    return {
        "classify": [decisions(tmp_path, name) for name in ("v2l", "vqgan")],
        "semantics": store(tmp_path / "semantics" / "rows.parquet", *codebooks),
        "reconstruct": [tokenizer_rows(tmp_path, "reconstruct", name) for name in ("v2l", "vqgan")],
        "restore": [tokenizer_rows(tmp_path, "restore", name) for name in ("v2l", "vqgan")],
        "caption": conditions(tmp_path / "caption" / "rows.parquet", "cider_d", "picture words", "random words"),
        "vqa": conditions(tmp_path / "vqa" / "rows.parquet", "accuracy", "picture words", "random words"),
        "masked": conditions(
            tmp_path / "masked" / "rows.parquet", "tokens_restored", "after tuning", "before tuning"
        ),
    }  # fmt: skip


def run(files: dict[str, Any], output: Path, **config: float) -> list[dict[str, Any]]:
    sections = {"config": ClaimsConfig(**config), "llm": LlmConfig(source="some-llm")}
    claims(**files, claims=output, **sections, image_size_px=64, epochs=0.5)
    return read_json(output)


def test_records_are_written_in_the_order_of_the_paper_under_stable_ids(files, tmp_path) -> None:
    records = run(files, tmp_path / "claims.json")
    assert [record["id"] for record in records] == IDS
    for record in records:
        assert set(record) == {field.name for field in fields(Claim)}
        assert record["verdict"] in VERDICTS


def test_every_experiment_reaches_its_own_claims(files, tmp_path) -> None:
    found = {record["id"]: record for record in run(files, tmp_path / "claims.json")}
    rows = {
        "expansion_clip": ["semantics/rows.parquet"],
        "filtering_clip_r": ["semantics/rows.parquet"],
        "reconstruction_vqgan_psnr": ["reconstruct/rows_v2l.parquet", "reconstruct/rows_vqgan.parquet"],
        "reconstruction_vqgan_lpips_vgg": ["reconstruct/rows_v2l.parquet", "reconstruct/rows_vqgan.parquet"],
        "restoration_shift": ["restore/rows_v2l.parquet", "restore/rows_vqgan.parquet"],
        "masked_tuning": ["masked/rows.parquet"],
        "captions": ["caption/rows.parquet"],
        "answers": ["vqa/rows.parquet"],
    }
    verdicts = {id_: found[id_]["verdict"] for id_ in rows if not id_.startswith("filtering")}
    assert verdicts == dict.fromkeys(verdicts, SUPPORTED)
    assert {id_: found[id_]["rows"] for id_ in rows} == rows
    beats = found["few_shot_beats_vqgan"]
    assert (beats["value"], beats["n"]) == (pytest.approx(200 / 3), 3)
    assert beats["rows"] == ["classify/predictions_v2l.parquet", "classify/predictions_vqgan.parquet"]
    assert found["reconstruction_vqgan_psnr"]["scale"] == "held-out pictures of 64 px, 0.5 epochs of training"


def test_the_margin_is_that_of_the_configuration(files, tmp_path) -> None:
    frame = pd.read_parquet(files["semantics"])
    frame.loc[frame["codebook"] == "orders_1_3", "clip"] *= 0.97
    write_rows(files["semantics"], frame)
    found = {
        margin: next(r for r in run(files, tmp_path / "out", margin=margin) if r["id"] == "filtering_clip")["verdict"]
        for margin in (0.0, 0.2)
    }
    assert found == {0.0: CONTRADICTED, 0.2: SUPPORTED}


def test_order_of_the_files_does_not_matter(files, tmp_path) -> None:
    run(files, tmp_path / "first.json")
    turned = {name: value[::-1] if isinstance(value, list) else value for name, value in files.items()}
    run(turned, tmp_path / "second.json")
    assert (tmp_path / "first.json").read_bytes() == (tmp_path / "second.json").read_bytes()


def test_names_come_from_the_rows_and_not_from_the_path(files, tmp_path) -> None:
    own, other = files["classify"]
    moved = tmp_path / "classify" / "first.parquet"
    other.rename(moved)
    found = {record["id"]: record for record in run({**files, "classify": [moved, own]}, tmp_path / "out")}
    assert found["few_shot_beats_vqgan"]["rows"] == ["classify/predictions_v2l.parquet", "classify/first.parquet"]


@pytest.mark.parametrize(
    ("family", "column"), [("classify", "run"), ("reconstruct", "tokenizer"), ("restore", "tokenizer")]
)
def test_a_file_of_two_names_is_refused_and_nothing_written(files, tmp_path, family, column) -> None:
    first, second = files[family]
    write_rows(first, pd.concat([pd.read_parquet(first), pd.read_parquet(second)]))
    with pytest.raises(ArtifactError, match=rf"{first.name}: column {column}: expected one name, found 2"):
        run(files, tmp_path / "claims.json")
    assert not (tmp_path / "claims.json").exists()


def test_a_file_without_rows_is_refused(files, tmp_path) -> None:
    write_rows(files["restore"][0], pd.read_parquet(files["restore"][0]).iloc[:0])
    with pytest.raises(ArtifactError, match=r"rows_v2l\.parquet: column tokenizer: expected one name, found 0"):
        run(files, tmp_path / "claims.json")


def test_a_missing_column_is_refused(files, tmp_path) -> None:
    write_rows(files["vqa"], pd.read_parquet(files["vqa"]).drop(columns="accuracy"))
    with pytest.raises(ArtifactError, match=r"vqa/rows\.parquet: expected column\(s\) accuracy"):
        run(files, tmp_path / "claims.json")


def test_one_llm_cannot_test_a_claim_about_larger_ones(files, tmp_path) -> None:
    last = run(files, tmp_path / "claims.json")[-1]
    assert (last["id"], last["verdict"], last["value"]) == ("larger_llms", NOT_TESTED, None)
    assert last["scale"].endswith("some-llm (7 million weights)")
