"""`config/paper.yaml` against what the paper states (arXiv 2403.07874, sections 3 and 4)."""

from pathlib import Path

import pytest

from v2l.config.fewshot import TABLE_1
from v2l.config.tree import Config, load_config

LLAMA_2 = {"v2l": "meta-llama/Llama-2-7b-hf", "v2l_13b": "meta-llama/Llama-2-13b-hf",
           "v2l_70b": "meta-llama/Llama-2-70b-hf"}  # fmt: skip


@pytest.fixture(scope="module")
def paper(repository: Path) -> Config:
    return load_config(repository / "config" / "paper.yaml")


def test_table_1_has_84_cells(paper: Config) -> None:
    runs = {name: paper.fewshot.runs[name] for name in LLAMA_2}
    cells = [
        (name, ways, num_global, setting.name)
        for name, run in runs.items()
        for ways in run.ways or paper.episodes.ways
        for num_global in run.num_global
        for setting in run.settings
    ]
    assert len(set(cells)) == len(cells) == 84
    assert {name: (run.llm or paper.llm).source for name, run in runs.items()} == LLAMA_2
    assert list(paper.episodes.ways) == [2, 5]
    shown = [(setting.induction, setting.shots, setting.repeats) for setting in TABLE_1]
    assert shown == [(False, 1, 0), *((True, *pair) for pair in [(1, 0), (3, 0), (5, 0), (1, 1), (1, 3), (1, 5)])]


def test_tokenizer_and_training(paper: Config) -> None:
    tokenizer, train = paper.tokenizers["v2l"], paper.train
    assert (tokenizer.image_size_px, tokenizer.grid, tokenizer.num_global) == (128, 16, 21)
    assert (tokenizer.base_channels, tokenizer.channel_multipliers, tokenizer.z_channels) == (128, [1, 2, 2, 4], 256)
    assert (train.epochs, train.learning_rate, train.warmup_epochs) == (100, 5e-4, 5)
    assert (train.perceptual_weight, train.gan_weight, train.batch_size) == (1.0, 0.1, 32 * 8)


def test_vocabulary(paper: Config) -> None:
    assert (paper.vocab.filter.top_k, paper.vocab.filter.min_count) == (5, 100)
    assert paper.vocab.expand.num_tokens is None  # all
    assert (paper.clip.model, paper.clip.pretrained) == ("ViT-L-14", "openai")


def test_restoration(paper: Config) -> None:
    protocol = paper.restore.protocol
    assert list(protocol.tasks) == ["inpainting", "outpainting", "deblurring", "rotation", "shift"]
    assert (protocol.num_before, protocol.num_predicted, protocol.max_images) == (16, 2, 5000)
    assert sorted(protocol.replaced) == pytest.approx([0.23 + 0.03 * step for step in range(10)])
    assert {(run.llm or paper.llm).source for run in paper.restore.runs.values()} == set(LLAMA_2.values())


def test_prompts_in_context(paper: Config) -> None:
    for section in (paper.caption, paper.vqa):
        assert (section.num_context, section.num_global) == (10, 21)
    assert paper.masked.mask.share == 0.3
