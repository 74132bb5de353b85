"""A real SentencePiece model of 32,000 pieces, and a small random Llama that speaks it."""

import shutil
import tempfile
from pathlib import Path

import pytest

TINY = {
    "vocab_size": 32_000,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 2048,
    "initializer_range": 0.5,  # logits far enough apart that float32 rounding (1e-6) decides nothing
}


@pytest.fixture(scope="session")
def sentencepiece_file(repository: Path) -> Path:
    """``tokenizer.model`` as LLaMA has one (BPE, byte fallback, dummy blank, 32,000 pieces), fetched once.

    It is Mistral's, Apache-2.0, out of a wheel that is data here: checked by hash, neither installed nor imported.
    """
    from filelock import FileLock

    from v2l.assets.archive import extract
    from v2l.assets.download import download_package
    from v2l.assets.pins import Pin

    pin = Pin(
        registry="pypi",
        name="mistral-common",
        version="1.13.1",
        archive="mistral_common-1.13.1-py3-none-any.whl",
        sha256="98b4d0755b8d90bf4691fa8f1b70cb3b4a8cd4dc1653c4ed08ef3d1c7d2c29af",
        license="Apache-2.0",
        files={"mistral_common/data/tokenizer.model.v1": "tokenizer.model"},
    )
    folder = repository / ".pytest_cache" / f"{pin.name}-{pin.version}"
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "tokenizer.model"
    with FileLock(folder / "lock"):
        if not file.is_file():
            with tempfile.TemporaryDirectory(dir=folder) as name:
                extract(download_package(pin, Path(name)), pin.files, Path(name))
                Path(name, "tokenizer.model").replace(file)
    return file


@pytest.fixture(scope="session")
def llama_folder(sentencepiece_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random two-layer Llama with nothing but a ``tokenizer.model`` to read with."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    folder = tmp_path_factory.mktemp("llama")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        LlamaForCausalLM(LlamaConfig(**TINY)).save_pretrained(folder)
    shutil.copy(sentencepiece_file, folder)
    return folder
