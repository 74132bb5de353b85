import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from v2l.artifacts import read_json
from v2l.config.data import EmojiConfig
from v2l.data.concepts import FAMILIES
from v2l.data.emoji import emoji, read_drawings
from v2l.data.images import load_pictures
from v2l.data.manifest import read_manifest
from v2l.errors import ConfigError, DataError


def config(**changes) -> EmojiConfig:
    defaults = {
        "kind": "emoji",
        "sets": ["noto", "noto-v1", "twemoji"],
        "categories": ["Animals & Nature", "Objects", "Travel & Places"],
        "min_sets": 2,
        "heldout_family": "noto",
        "image_size_px": 16,
    }
    return EmojiConfig(**{**defaults, **changes})


@pytest.fixture
def run(icons: Path, tmp_path: Path) -> Callable[..., Path]:
    """Runs the stage into a new folder and returns it."""

    def run(name: str = "out", **changes) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        paths = {"pictures": folder / "pictures", "manifest": folder / "m.parquet", "report": folder / "report.json"}
        emoji(icons, config(**changes), **paths)
        return folder

    return run


def break_icon(icons: Path, source: str, name: str) -> None:
    path = icons.with_name(f"{source}.json")
    content = json.loads(path.read_text())
    content["icons"][name]["body"] = "<g><path"
    path.write_text(json.dumps(content))


def test_manifest_lists_every_artist_of_every_concept(run: Callable[..., Path]):
    manifest = read_manifest(run() / "m.parquet")
    assert manifest["image_id"].tolist() == [
        "noto/ant", "noto-v1/ant", "twemoji/ant", "noto/bee", "twemoji/bee", "noto/t-shirt", "twemoji/t-shirt",
    ]  # fmt: skip
    assert manifest["class_id"].tolist() == [0, 0, 0, 1, 1, 2, 2]
    assert manifest["split"].tolist() == ["heldout", "heldout", "train", "heldout", "train", "heldout", "train"]
    ant = manifest.iloc[1]
    assert (ant["class_name"], list(ant["captions"])) == ("ant", ["ant", "insect"])
    assert (ant["source"], ant["family"], ant["group"], ant["subgroup"]) == (
        "noto-v1",
        "noto",
        "animals & nature",
        "bugs",
    )
    assert manifest["class_name"].iloc[-1] == "T-shirt"


def test_pictures_are_those_of_the_manifest(run: Callable[..., Path]):
    folder = run()
    manifest = read_manifest(folder / "m.parquet")
    pictures = load_pictures(folder / "m.parquet", manifest["path"], 16)
    assert [tuple(picture[8, 8]) for picture in pictures[::3]] == [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
    for row in manifest.itertuples():
        assert hashlib.sha256((folder / row.path).read_bytes()).hexdigest() == row.sha256
        assert Image.open(folder / row.path).size == (16, 16)
    assert len(list((folder / "pictures").rglob("*.png"))) == len(manifest)


def test_report_counts_pictures_and_classes(run: Callable[..., Path]):
    assert read_json(run() / "report.json") == {
        "num_pictures": 7,
        "num_classes": 3,
        "pictures": {
            "split": {"heldout": 4, "train": 3},
            "source": {"noto": 3, "noto-v1": 1, "twemoji": 3},
            "family": {"noto": 4, "twemoji": 3},
        },
        "classes": {"heldout": 3, "train": 3},
        "unreadable": [],
    }


def test_two_runs_write_the_same_bytes(run: Callable[..., Path]):
    first, second = run("one"), run("two")
    for path in sorted(path for path in first.rglob("*") if path.is_file()):
        assert path.read_bytes() == (second / path.relative_to(first)).read_bytes()


def test_unreadable_picture_is_reported_and_left_out_within_the_limit(run: Callable[..., Path], icons: Path):
    break_icon(icons, "noto-v1", "ant")
    folder = run(max_unreadable=1)
    (unreadable,) = read_json(folder / "report.json")["unreadable"]
    assert unreadable["image_id"] == "noto-v1/ant"
    assert unreadable["reason"]
    assert "noto-v1/ant" not in read_manifest(folder / "m.parquet")["image_id"].tolist()
    assert not (folder / "pictures" / "noto-v1").exists()


def test_more_unreadable_pictures_than_allowed_stop_the_stage_naming_the_first(run: Callable[..., Path], icons: Path):
    break_icon(icons, "twemoji", "t-shirt")
    break_icon(icons, "noto", "bee")
    message = r"noto/bee: not a readable picture \(.+\); 2 of 7 pictures are unreadable, data.max_unreadable allows 1$"
    with pytest.raises(DataError, match=message):
        run(max_unreadable=1)


def test_unknown_category_stops_before_anything_is_drawn(run: Callable[..., Path], tmp_path: Path):
    with pytest.raises(ConfigError, match=r"data\.categories: 'Food' is unknown"):
        run("out", categories=["Food"])
    assert not list((tmp_path / "out").iterdir())


def test_pictures_must_lie_beside_the_manifest(icons: Path, tmp_path: Path):
    with pytest.raises(DataError, match=r"expected the pictures beside it in a folder pictures, found .*drawn"):
        emoji(icons, config(), tmp_path / "drawn", tmp_path / "m.parquet", tmp_path / "r.json")


def test_fetched_sets_give_the_stated_counts(assets: Path):
    """Numbers of docs/data.md."""
    sets = list(FAMILIES)
    categories = ["Animals & Nature", "Food & Drink", "Travel & Places", "Objects", "Activities"]
    drawings = read_drawings(assets / "icons", config(sets=sets, categories=categories, min_sets=5))
    assert len(drawings) == 5933
    assert len({drawing.concept.label for drawing in drawings}) == 806
    assert all(drawing.concept.subgroup for drawing in drawings)
    doughnut = next(drawing.concept for drawing in drawings if drawing.concept.name == "doughnut")
    assert (doughnut.group, doughnut.subgroup) == ("food & drink", "sweets & candy")
