from pathlib import Path

import pytest
import yaml

from v2l.config.fewshot import TABLE_1
from v2l.config.tree import get_section, load_config, parse_config
from v2l.errors import ConfigError


@pytest.fixture
def tree(repository: Path) -> dict:
    return yaml.safe_load((repository / "config" / "demo.yaml").read_text())


@pytest.mark.parametrize("name", ["demo", "smoke", "full", "paper"])
def test_shipped_file_is_valid_and_named_as_its_file(repository: Path, name: str) -> None:
    assert load_config(repository / "config" / f"{name}.yaml").name == name


def test_shipped_files_ask_the_main_run_the_same_seven_settings(repository: Path) -> None:
    for name in ("demo", "smoke"):
        run = load_config(repository / "config" / f"{name}.yaml").fewshot.runs["v2l"]
        assert run.settings == TABLE_1
        assert run.num_global == [5, 21]


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("vocab.filter.min_cuont", 3, r"vocab\.filter\.min_cuont: unknown key"),
        ("train.batch_size", "many", r"train\.batch_size: .*integer.*'many'"),
        ("train.batch_size", 0, r"train\.batch_size: .*greater than 0.*found 0"),
        ("precision", "fp16", r"precision: .*'auto', 'fp32' or 'bf16'.*'fp16'"),
        ("clip.kind", "siglip", r"clip: .*'locked_text'"),
        ("fewshot.runs.v2l.settings", [{"shots": 0}], r"fewshot\.runs\.v2l\.settings\.0\.shots: .*greater than 0"),
        ("tokenizers.v2l.image_size_px", 66, r"tokenizers\.v2l: image_size_px must be a multiple of 4.*found 66"),
        ("tokenizers.vqgan.norm_groups", 5, r"tokenizers\.vqgan: norm_groups must divide base_channels 32, found 5"),
        ("tokenizers.lqae.num_codes", 9, r"tokenizers\.lqae\.num_codes: unknown key"),
        ("tokenizers.lqae.num_global", 5, r"tokenizers\.lqae\.num_global: .*0.*found 5"),
        ("tokenizers.spae.kind", "vae", r"tokenizers\.spae: .*'vae'"),
        ("tokenizers.spae.levels", [1, 4], r"tokenizers\.spae: levels must rise to 16.*; found \[1, 4\]"),
        ("tokenizers.spae.levels", [4, 1, 16], r"tokenizers\.spae: levels must rise to 16.*; found \[4, 1, 16\]"),
        ("tokenizers.spae.levels", [3, 16], r"tokenizers\.spae: levels must .* each divide it; found \[3, 16\]"),
        ("tokenizers.spae.guided_levels", 5, r"tokenizers\.spae: guided_levels must be fewer than the 5 levels"),
        ("tokenizers", {}, r"tokenizers: expected one of kind v2l under the name v2l"),
        ("tokenizers.v2l", {"kind": "vqgan"}, r"tokenizers: expected one of kind v2l under the name v2l"),
        (
            "restore.runs.v2l.tokenizer",
            "dalle",
            r"restore\.runs\.v2l\.tokenizer: expected the name of a tokenizer, found",
        ),
        ("restore.protocol.num_predicted", 3, r"restore\.protocol: num_predicted must divide the 8 tokens"),
        ("data.max_classes", 3, r"episodes\.ways: 5-way needs at least 5 classes, data\.max_classes allows 3"),
        ("data.kind", "photos", r"data: .*'emoji', 'sources'.*'photos'"),
        ("data.num_workers", 2, r"data\.num_workers: unknown key"),
        ("data", {"kind": "sources", "sources": []}, r"data\.sources: .*at least 1 item"),
        (
            "data",
            {"kind": "sources", "sources": [{"kind": "coco", "root": "coco", "year": 2015}]},
            r"data\.sources\.0\.year: .*2014 or 2017.*found 2015",
        ),
        ("data.max_unreadable", True, r"data\.max_unreadable: expected a number, not a boolean, found True"),
        ("data.max_classes", True, r"data\.max_classes: expected a number, not a boolean, found True"),
        ("episodes.ways", {}, r"episodes\.ways: .*at least 1 item"),
        ("episodes.ways", [2, 5], r"episodes\.ways: input should be a valid dictionary, found \[2, 5\]"),
        ("episodes.ways", {2: True}, r"episodes\.ways: expected a number, not a boolean, found {2: True}"),
        ("episodes.release", [], r"episodes\.release: .*at least 1 item"),
        ("episodes.support_split", "val", r"episodes\.support_split: .*'train' or 'heldout'.*'val'"),
        ("runtime.shards.train", 2, r"runtime\.shards\.train: unknown key"),
        ("runtime.shards.caption", 0, r"runtime\.shards\.caption: .*greater than 0"),
        ("runtime.picture_memory_gb", -1, r"runtime\.picture_memory_gb: .*greater than or equal to 0"),
        ("runtime.loader_workers", -1, r"runtime\.loader_workers: .*greater than or equal to 0"),
        ("runtime.loader_workers", 1.5, r"runtime\.loader_workers: .*valid integer"),
        ("fewshot.runs.v2l.llm", {"name": "x"}, r"fewshot\.runs\.v2l\.llm\.source: missing"),
        ("episodes.shots", 3, r"fewshot\.runs\.v2l: 5 shots are asked for, episodes\.shots draws 3"),
        ("fewshot.runs.spae.words", "dalle", r"fewshot\.runs\.spae\.words: expected one of orders_1_3, .*found dalle"),
        ("fewshot.runs.spae.ways", [2, 7], r"fewshot\.runs\.spae\.ways: expected some of \[2, 5\], found 7"),
        ("tokens.num_global", 8, r"tokens\.num_global: 8 .* but fewshot\.runs\.v2l\.num_global asks for 21"),
        ("caption.num_global", 22, r"tokens\.num_global: 21 .* but caption\.num_global asks for 22"),
        ("tokenizers.v2l.num_global", 30, r"tokens\.num_global: 21 .* but tokenizers\.v2l\.num_global asks for 30"),
        ("name", "../elsewhere", r"name: .*match pattern"),
        ("seed", -1, r"seed: .*greater than or equal to 0"),
        ("seed", True, r"seed: expected a number, not a boolean, found True"),
    ],
)
def test_bad_value_is_refused_in_one_line_naming_file_and_key(
    tree: dict, key: str, value: object, message: str
) -> None:
    node = tree
    *parents, last = key.split(".")
    for part in parents:
        node = node.setdefault(part, {})
    node[last] = value
    with pytest.raises(ConfigError, match=rf"^my\.yaml: {message}") as error:
        parse_config(tree, "my.yaml")
    assert "\n" not in str(error.value)


def test_runs_over_local_tokens_ask_for_no_global_ones(tree: dict) -> None:
    tree["fewshot"]["runs"]["lqae"]["num_global"] = [256]
    tree["tokens"]["num_global"] = 21
    assert parse_config(tree, "my.yaml").fewshot.runs["lqae"].num_global == [256]


def test_listed_episodes_have_the_shots_that_their_files_say(tree: dict) -> None:
    tree["episodes"] |= {"shots": 1, "release": ["5_way_5_shot.csv"]}
    assert parse_config(tree, "my.yaml").fewshot.runs["v2l"].max_shots == 5


def test_listed_episodes_have_the_ways_that_their_files_say(tree: dict) -> None:
    tree["episodes"]["release"] = ["7_way_5_shot.csv"]
    tree["fewshot"]["runs"]["spae"]["ways"] = [7]
    assert parse_config(tree, "my.yaml").fewshot.runs["spae"].ways == [7]


def test_pictures_come_from_data_sets_where_they_lie(tree: dict) -> None:
    asked = {"kind": "vqa_v2", "root": "vqa"}
    tree["data"] = {"kind": "sources", "sources": [{"kind": "coco", "root": "coco", "year": 2014}, asked]}
    assert parse_config(tree, "my.yaml").data.sources[0].year == 2014


def test_sections_are_found_by_their_dotted_keys(tree: dict) -> None:
    config = parse_config(tree, "my.yaml")
    assert get_section(config, "vocab.filter") is config.vocab.filter
    assert get_section(config, "tokenizers.spae") is config.tokenizers["spae"]
    with pytest.raises(ConfigError, match=r"^tokenizers\.dalle: expected one of v2l, .*, spae, found dalle$"):
        get_section(config, "tokenizers.dalle")


def test_missing_section_is_named(tree: dict) -> None:
    del tree["llm"]
    with pytest.raises(ConfigError, match=r"my\.yaml: llm: missing"):
        parse_config(tree, "my.yaml")


@pytest.mark.parametrize("content", [b"name: caf\xe9\n", b"name: 2024-13-01\n"])
def test_other_encoding_and_impossible_date_are_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "odd.yaml").write_bytes(content)
    with pytest.raises(ConfigError, match=r"odd\.yaml: not valid YAML \(.+\)$"):
        load_config(tmp_path / "odd.yaml")


def test_absent_file_and_broken_yaml_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml: cannot be read"):
        load_config(tmp_path / "none.yaml")
    (tmp_path / "broken.yaml").write_text("a: [1, 2")
    with pytest.raises(ConfigError, match=r"broken\.yaml: not valid YAML") as error:
        load_config(tmp_path / "broken.yaml")
    assert "\n" not in str(error.value)
