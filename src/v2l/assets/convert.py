"""Turns fetched files into plain ones: GGUF into a transformers folder, pickled arrays into safetensors."""

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from v2l.artifacts import write_arrays
from v2l.errors import AssetError
from v2l.restricted import load_restricted

# Positions of the convolutions among torchvision's ``features`` (the other entries are ReLU and pooling).
TORCHVISION_CONVOLUTIONS = {
    "vgg16": (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28),
    "alexnet": (0, 3, 6, 8, 10),
}
HEAD_NAMES = {"vgg16": "lpips_vgg", "alexnet": "lpips_alex"}
NUM_HEADS = 5


def read_pickled_arrays(path: Path) -> dict[str, np.ndarray]:
    """Reads a pickle of nested dicts of numeric arrays without running any code in it.

    Returns arrays by their path in the nest, e.g. ``VGG16_0/Conv_0/kernel``. Raises AssetError for anything else.
    """
    try:
        with path.open("rb") as file:
            tree = load_restricted(file)
    except Exception as error:  # a hostile or damaged pickle can raise anything
        raise AssetError(f"{path.name}: refused ({' '.join(str(error).split())})") from None
    return dict(_flatten(tree, path.name, ()))


def _flatten(tree: Any, origin: str, keys: tuple[str, ...]) -> Iterator[tuple[str, np.ndarray]]:
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from _flatten(value, origin, (*keys, str(key)))
    elif isinstance(tree, np.ndarray) and tree.dtype.kind in "fiu":
        yield "/".join(keys), tree
    else:
        raise AssetError(
            f"{origin}: expected numeric arrays, found {type(tree).__name__} at {'/'.join(keys) or 'the top'}"
        )


def convert_perceptual(checkpoint: Path, folder: Path) -> None:
    """Writes an image trunk and its LPIPS heads as safetensors, in torchvision's names and layout.

    checkpoint: ``vgg16.ckpt`` or ``alexnet.ckpt``, kernels [height, width, in, out] in order of depth. Written are
    ``features.<i>.{weight,bias}`` with weights [out, in, height, width], and heads ``lin0..lin4`` [1, C, 1, 1].
    """
    network = checkpoint.stem
    arrays = read_pickled_arrays(checkpoint)
    trunk_name = {"vgg16": "VGG16_0", "alexnet": "AlexNet_0"}[network]

    def take(name: str) -> np.ndarray:
        if name not in arrays:
            raise AssetError(f"{checkpoint.name}: expected array {name}, found {', '.join(sorted(arrays))}")
        return arrays[name].astype(np.float32)

    def weight(name: str) -> np.ndarray:
        return take(f"{name}/kernel").transpose(3, 2, 0, 1)

    trunk = {}
    for order, position in enumerate(TORCHVISION_CONVOLUTIONS[network]):
        trunk[f"features.{position}.weight"] = weight(f"{trunk_name}/Conv_{order}")
        trunk[f"features.{position}.bias"] = take(f"{trunk_name}/Conv_{order}/bias")
    write_arrays(folder / f"{network}.safetensors", trunk)
    heads = {f"lin{i}": weight(f"NetLinLayer_{i}/Conv_0") for i in range(NUM_HEADS)}
    write_arrays(folder / f"{HEAD_NAMES[network]}.safetensors", heads)


def convert_gguf(gguf: Path, folder: Path) -> None:
    """Writes a GGUF model as a float32 transformers folder: weights, config and tokenizer.

    transformers refuses to save a model that it read from GGUF, so state dict and config are written here. A tied
    output layer shares its storage with the input embedding and is stored once; loading ties it again.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    # GGUF loading draws a progress bar that has no switch; its target is the standard error of the moment.
    with contextlib.redirect_stderr(io.StringIO()):
        tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
        model = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
    tokenizer.save_pretrained(folder)
    model.generation_config.save_pretrained(folder)
    config = model.config
    del config.quantization_config
    config.architectures = [type(model).__name__]
    config.save_pretrained(folder)
    state = model.state_dict()
    if config.tie_word_embeddings:
        del state["lm_head.weight"]
    arrays = {name: tensor.numpy() for name, tensor in state.items()}
    write_arrays(folder / "model.safetensors", arrays, {"format": "pt"})
