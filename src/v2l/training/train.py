"""Stage ``train``: reads what a tokenizer learns from, trains it, writes weights and curves."""

import shutil
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from v2l.artifacts import read_arrays
from v2l.config.tokenizer import TokenizerConfig
from v2l.config.train import TrainConfig
from v2l.data.images import to_tensor
from v2l.data.manifest import read_manifest, training_rows
from v2l.errors import ArtifactError, DataError
from v2l.models.perceptual import Lpips
from v2l.runtime import Runtime
from v2l.seeds import derive_seed
from v2l.tokenizer.base import Sources
from v2l.tokenizer.inputs import read_image_features, read_local_embeddings, select_global_tokens
from v2l.tokenizer.kinds import KINDS
from v2l.training.loop import CHECKPOINT, Guides, fit
from v2l.training.pictures import TrainingPictures, read_training_pictures
from v2l.training.processes import Processes
from v2l.training.trainer import Trainer

BEGIN_PICTURES = 64  # that an encoder is aligned with the codes by


def train(
    manifest: Path,
    networks: Path,
    tokenizer: Path,
    curves: Path,
    config: TrainConfig,
    tokenizer_config: TokenizerConfig,
    name: str,
    seed: int,
    runtime: Runtime,
    scratch: Path,
    features: Path | None = None,
    embeddings: Path | None = None,
    global_vectors: Path | None = None,
    llm_embeddings: Path | None = None,
) -> None:
    """Trains one tokenizer of any kind on the training split (paper, section 4.1): same pictures, losses and schedule.

    TensorBoard events go beside the weights. All processes of a group call it together; the first one writes. Raises
    ArtifactError or DataError for inputs that do not fit, ModelError if the loss diverges, StoppedError after SIGTERM.
    """
    frame = read_manifest(manifest)
    rows = training_rows(frame)
    if rows.empty:
        raise DataError(f"{manifest}: column split: expected some rows with train, found none")
    sources = read_sources(embeddings, global_vectors, llm_embeddings)
    guides = Guides()
    if features is not None:
        image_features = read_image_features(features, len(frame))[torch.tensor(rows.index)]
        guides = Guides(image_features=image_features)
    if tokenizer_config.num_global:
        if features is None:
            raise ArtifactError("train: global tokens are selected by the input --features, found none")
        codebook, count = sources["global_vectors"], tokenizer_config.num_global
        ids = select_global_tokens(image_features, codebook, count, global_vectors)
        guides = Guides(image_features, ids, codebook)
    paths, image_ids = rows["path"].tolist(), rows["image_id"].tolist()
    pictures = read_training_pictures(
        manifest, paths, image_ids, tokenizer_config.image_size_px, seed, runtime.picture_memory_gb
    )
    trainer = make_trainer(
        sources, pictures, Lpips(networks, config.perceptual_net), config, tokenizer_config, seed, runtime
    )

    tensorboard = tokenizer.parent / "tensorboard" / name
    first = trainer.processes.first
    if first and not (scratch / CHECKPOINT).exists() and tensorboard.exists():
        shutil.rmtree(tensorboard)  # of an earlier run with other inputs
    fitted = fit(trainer, pictures, guides, scratch, tensorboard)
    if first:
        fitted.write(curves)
        trainer.tokenizer.save(tokenizer)


def read_sources(embeddings: Path | None, global_vectors: Path | None, llm_embeddings: Path | None) -> Sources:
    """The frozen codebooks that are there. Raises ArtifactError for a file that is not one."""
    readers: dict[str, tuple[Path | None, Callable[[Path], Tensor]]] = {
        "embeddings": (embeddings, read_local_embeddings),
        "global_vectors": (global_vectors, lambda path: torch.from_numpy(read_arrays(path, ["codebook"])["codebook"])),
        "llm_embeddings": (
            llm_embeddings, lambda path: torch.from_numpy(read_arrays(path, ["embeddings"])["embeddings"])
        ),
    }  # fmt: skip
    return Sources({name: read(path) for name, (path, read) in readers.items() if path is not None})


def make_trainer(
    sources: Sources,
    pictures: TrainingPictures,
    lpips: Lpips,
    config: TrainConfig,
    tokenizer_config: TokenizerConfig,
    seed: int,
    runtime: Runtime,
) -> Trainer:
    """A tokenizer and a discriminator with fresh weights that depend on seed, sources and pictures alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "initial weights"))
        tokenizer = KINDS[tokenizer_config.kind].make(tokenizer_config, sources)
        first, _ = pictures.batch(0, min(BEGIN_PICTURES, len(pictures)))
        with torch.no_grad():
            tokenizer.begin(to_tensor(first))
        return Trainer(tokenizer, lpips, config, runtime, Processes.current())
