"""Small random models in the forms in which the real ones come."""

import json
import shutil
import tempfile
from pathlib import Path

import pytest

# Two layers, with a vocabulary of LLaMA's size.
LLAMA = {
    "vocab_size": 32_000,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 4096,
    "initializer_range": 0.5,  # logits far enough apart that float32 rounding (1e-6) decides nothing
}


def open_clip_architecture(dim: int) -> dict:
    """What open_clip makes a small CLIP of. dim: of the common space."""
    return {
        "embed_dim": dim,
        "vision_cfg": {"image_size": 48, "layers": 2, "width": 64, "head_width": 32, "patch_size": 16},
        "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
    }


def write_open_clip(folder: Path, dim: int) -> None:
    """A folder that open_clip takes as ``local-dir:``, with weights."""
    import open_clip
    import torch
    from safetensors.torch import save_file

    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = open_clip.CLIP(**open_clip_architecture(dim))
    folder.mkdir()
    config = {"model_cfg": open_clip_architecture(dim), "preprocess_cfg": {}}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    save_file(model.state_dict(), folder / "open_clip_model.safetensors")


def fetch_sentencepiece(repository: Path) -> Path:
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


def write_llama(folder: Path, sentencepiece_file: Path) -> None:
    """A Llama with nothing but a ``tokenizer.model`` to read with."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    with torch.random.fork_rng():
        torch.manual_seed(0)
        LlamaForCausalLM(LlamaConfig(**LLAMA)).save_pretrained(folder)
    shutil.copy(sentencepiece_file, folder)


def write_inception(path: Path) -> None:
    """Weights of FID's Inception in the form of torch-fidelity's file."""
    import torch
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    load = torch.load
    with pytest.MonkeyPatch.context() as patch, torch.random.fork_rng():
        torch.manual_seed(0)
        # the class reads weights while it is made, and has no other way to be made
        patch.setattr(torch.nn.Module, "load_state_dict", lambda *_, **__: None)
        patch.setattr(torch, "load", lambda *_, **__: {})
        path.touch()
        network = FeatureExtractorInceptionV3("inception-v3-compat", ["2048"], str(path))
        patch.setattr(torch, "load", load)
    torch.save(network.state_dict(), path)
