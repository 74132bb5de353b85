"""``config/release.yaml`` to its end: data sets as their owners distribute them, a LLaMA, an open_clip model and the
authors' files, all of them small replicas, become every table and figure, and nothing of V2L is trained.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from v2l.artifacts import read_json
from v2l.data.sources.classes import imagenet_classes
from v2l.graph.report import FIGURE_NAMES, TABLE_NAMES
from v2l.models.llm_tokenizers import load_tokenizer

from .. import small_models
from ..data.sources import replicas
from ..release.conftest import Model
from ..release.replica import CONFIG, Replica
from .conftest import Checkout, make_checkout

COCO = {"train": (9, 25, 30), "val": (42, 57)}
# By dotted keys: where the replicas lie, and less to do.
LESS = {
    "threads": 1,
    "runtime": {"shards": {"image_features": 2, "classify": 2}},
    "clip": {"kind": "open_clip", "model": "local-dir:clip", "pretrained": None},
    "release": "authors",
    "vocab.embed.templates": "single",
    "tokenizers.v2l": {**CONFIG.model_dump(mode="json"), "image_size_px": 32},
    "episodes.ways": {2: 1, 5: 1},
    "caption.num_context": 2,
    "vqa": {"num_context": 2, "num_global": 21, "max_questions": 2},
    "frechet.weights": "inception.pth",
    "restore.runs": {"v2l": {"tokenizer": "v2l"}},
    "restore.protocol": {"max_images": 1, "num_before": 4, "num_predicted": 4, "replaced": [0.5]},
    "masked": {"max_images": 1, "lora": {"steps": 1}},
}


def small_release(llama: Path) -> Replica:
    """Of an LLM with this tokenizer."""
    tokenizer = load_tokenizer({"pretrained_model_name_or_path": str(llama)})
    count = len(tokenizer)
    tokens = tokenizer.decode([[token_id] for token_id in range(count)])
    kept = [*range(1000, 1040), *range(count + 1000, count + 1030), *range(2 * count + 1000, 2 * count + 1030)]
    return Replica(tokens, kept, Model(local_vocab=count, global_vocab=len(kept), image_size=32))


def write_sources(root: Path) -> dict[str, Path]:
    """The data sets by kind."""
    wnids = list(imagenet_classes())[:7]
    lists = {"train": wnids[:1], "val": wnids[1:2], "test": wnids[2:]}
    coco = replicas.coco(root / "coco", ids=COCO)
    return {
        "imagenet": replicas.imagenet_tars(root / "imagenet"),
        "mini_imagenet": replicas.mini_imagenet(root / "mini", lists=lists, numbers=range(1, 8)),
        "coco": coco,
        "vqa_v2": replicas.vqa_v2(root / "vqa", ids=COCO),
    }


def name_llm(node: Any, source: str) -> None:
    """Puts an LLM in the place of every LLaMA 2 of a configuration."""
    for child in node.values() if isinstance(node, Mapping) else ():
        name_llm(child, source)
    if isinstance(node, dict) and str(node.get("source", "")).startswith("meta-llama/"):
        node["source"] = source


@pytest.fixture(scope="module")
def finished(
    tmp_path_factory: pytest.TempPathFactory, repository: Path, assets: Path, llama_folder: Path, inception_file: Path
) -> Checkout:
    root = tmp_path_factory.mktemp("release")
    checkout = make_checkout(root, repository, assets, "release")
    (root / "llama").symlink_to(llama_folder)
    (root / "inception.pth").symlink_to(inception_file)
    small_models.write_open_clip(root / "clip", dim=20)
    small_release(llama_folder).write(root / "authors")
    roots = write_sources(root / "sources")

    tree = yaml.safe_load(checkout.config.read_text())
    name_llm(tree, "llama")
    for source in tree["data"]["sources"]:
        source |= {"root": str(roots[source["kind"]]), "check_counts": False}
        if "pictures" in source:
            source["pictures"] = str(roots["coco"])
    checkout.config.write_text(yaml.safe_dump(tree, sort_keys=False))
    for key, value in LESS.items():
        checkout.edit(key, value)
    checkout.snakemake()
    return checkout


def test_every_table_and_figure_is_there_but_the_curves_of_trainings(finished: Checkout) -> None:
    for table in TABLE_NAMES:
        assert (finished.results / "tables" / f"{table}.md").read_text().strip()
    figures = {path.stem for path in (finished.results / "figures").glob("*.png")}
    assert figures == set(FIGURE_NAMES) - {"curves"}
    assert (finished.results / "report.html").stat().st_size > 10_000
    assert finished.planned_rules() == set()


def test_few_shot_has_the_84_cells_of_the_paper(finished: Checkout) -> None:
    table = pd.read_csv(finished.results / "tables" / "table1.csv")
    cells = table[table["column"].str.contains("repeats") & table["value"].notna()]
    assert len(cells) == 2 * 7 * 2 * 3  # ways, settings, Kg, LLMs
    assert cells["source"].is_unique


def test_nothing_is_trained_but_the_adapter(finished: Checkout) -> None:
    stages = {read_json(path)["stage"] for path in finished.results.rglob("*.provenance.json")}
    assert {"release-artifacts", "tune-lora", "classify", "caption", "vqa", "restore", "masked"} <= stages
    assert not {"train", "train-clip", "expand", "embed", "filter", "count-nearest"} & stages
