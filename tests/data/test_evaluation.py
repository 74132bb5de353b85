"""The list of evaluated pictures against loops over episodes, and against what `reconstruct` reads."""

from pathlib import Path

import pandas as pd
import pytest

from v2l.artifacts import write_rows
from v2l.config.data import EpisodesConfig
from v2l.config.fewshot import InductionSetting, RunConfig
from v2l.config.reconstruct import ReconstructConfig
from v2l.config.vocab import CodebookConfig
from v2l.data.draw_episodes import episodes
from v2l.data.episodes import read_episodes
from v2l.data.evaluation import evaluation
from v2l.data.manifest import COLUMNS
from v2l.experiments.reconstruct import _read_items

NAMES = ["ant", "bee", "cat", "dog", "eel", "fox", "gnu"]
CODEBOOKS = {"order_1": CodebookConfig(orders=[1])}
SHOTS = {shots: [InductionSetting(shots=shots)] for shots in (1, 2, 3)}


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """Seven classes with four training pictures and one held-out; ten episodes of 2 ways and of 3."""
    rows = [
        {
            **dict.fromkeys(COLUMNS, ""),
            "image_id": f"{source}/{name}",
            "split": "heldout" if source == "e" else "train",
            "class_name": name,
        }
        for name in NAMES
        for source in "abcde"
    ]
    write_rows(tmp_path / "manifest", rows)
    episodes(tmp_path / "manifest", tmp_path / "episodes", EpisodesConfig(ways={2: 10, 3: 10}, shots=3), seed=0)
    return {"manifest": tmp_path / "manifest", "episodes": tmp_path / "episodes"}


def evaluate(files: dict[str, Path], runs: dict[str, RunConfig], max_images: int | None = 3) -> pd.DataFrame:
    path = files["manifest"].with_name("evaluation")
    evaluation(**files, evaluation=path, reconstruct=ReconstructConfig(max_images=max_images), fewshot_runs=runs,
               codebooks=CODEBOOKS)  # fmt: skip
    return pd.read_parquet(path)


def test_fewshot_pictures_are_those_that_runs_over_tokenizers_show(files):
    runs = {
        "v2l": RunConfig(words="order_1", settings=SHOTS[3]),
        "spae": RunConfig(words="spae", per_way=3, settings=SHOTS[1] + SHOTS[2]),
        "lqae": RunConfig(words="lqae", per_way=1, ways=[3], settings=SHOTS[3]),
    }
    expected = set()
    for number, episode in enumerate(read_episodes(files["episodes"])):
        number_of_its_ways = number % 10
        for wanted, shots in ((number_of_its_ways < 3, 2), (number_of_its_ways < 1 and episode.ways == 3, 3)):
            if wanted:
                expected |= {image_id for i, image_id in enumerate(episode.support_ids) if i % 3 < shots}
                expected.add(episode.query_id)
    frame = evaluate(files, runs)
    assert frame.columns.tolist() == ["image_id", "reconstruct", "fewshot"]
    assert set(frame.loc[frame["fewshot"], "image_id"]) == expected
    assert (frame["fewshot"] | frame["reconstruct"]).all()
    assert frame["image_id"].is_unique
    listed = pd.read_parquet(files["manifest"])["image_id"]
    assert frame["image_id"].tolist() == [image_id for image_id in listed if image_id in set(frame["image_id"])]


@pytest.mark.parametrize("max_images", [1, 3, 7, None])
def test_reconstructed_pictures_are_those_that_the_stage_reads(files, tmp_path, max_images):
    images = pd.read_parquet(files["manifest"])["image_id"]
    for column in ("global_ids", "local_ids"):
        write_rows(tmp_path / column, [{"image_id": image_id, column: [0]} for image_id in images])
    read = _read_items(files["manifest"], tmp_path / "global_ids", tmp_path / "local_ids", max_images)
    frame = evaluate(files, {}, max_images)
    assert frame["image_id"].tolist() == read["image_id"].tolist()
    assert not frame["fewshot"].any()
    assert len(frame) == min(max_images or 7, 7)


def test_runs_over_codebooks_add_nothing(files):
    pd.testing.assert_frame_equal(evaluate(files, {"v2l": RunConfig(words="order_1")}), evaluate(files, {}))
