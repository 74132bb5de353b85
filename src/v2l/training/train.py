"""Stage ``train``: reads what the tokenizer learns from, trains it, writes weights and curves."""

import shutil
from pathlib import Path

import torch
from torch import Tensor

from v2l.artifacts import read_arrays
from v2l.config.tokenizer import TokenizerConfig
from v2l.config.train import TrainConfig
from v2l.data.manifest import read_manifest, training_rows
from v2l.errors import DataError
from v2l.models.perceptual import Lpips
from v2l.runtime import Runtime
from v2l.seeds import derive_seed
from v2l.tokenizer.inputs import read_image_features, read_local_embeddings, select_global_tokens
from v2l.tokenizer.model import LocalTokenizer
from v2l.training.loop import CHECKPOINT, Trainer, fit
from v2l.training.pictures import read_training_pictures


def train(
    manifest: Path,
    features: Path,
    embeddings: Path,
    global_vectors: Path,
    networks: Path,
    tokenizer: Path,
    curves: Path,
    config: TrainConfig,
    tokenizer_config: TokenizerConfig,
    seed: int,
    runtime: Runtime,
    scratch: Path,
) -> None:
    """Trains the tokenizer on the training split (paper, section 4.1); TensorBoard events go beside the weights.

    Raises ArtifactError or DataError for inputs that do not fit, ModelError if the loss diverges.
    """
    frame = read_manifest(manifest)
    rows = training_rows(frame)
    if rows.empty:
        raise DataError(f"{manifest}: column split: expected some rows with train, found none")
    image_features = read_image_features(features, len(frame))[torch.tensor(rows.index)]
    codebook = torch.from_numpy(read_arrays(global_vectors, ["codebook"])["codebook"])
    global_ids = select_global_tokens(image_features, codebook, tokenizer_config.num_global, global_vectors)
    pictures = read_training_pictures(
        manifest, rows["path"].tolist(), rows["image_id"].tolist(), tokenizer_config.image_size_px, seed
    )
    local_embeddings = read_local_embeddings(embeddings)
    lpips = Lpips(networks, config.perceptual_net)
    trainer = make_trainer(local_embeddings, codebook.shape[1], lpips, config, tokenizer_config, seed, runtime)

    tensorboard = tokenizer.parent / "tensorboard"
    if not (scratch / CHECKPOINT).exists() and tensorboard.exists():
        shutil.rmtree(tensorboard)  # of an earlier run with other inputs
    fit(trainer, pictures, global_ids, codebook, scratch, tensorboard).write(curves)
    trainer.tokenizer.save(tokenizer)


def make_trainer(
    local_embeddings: Tensor,
    global_dim: int,
    lpips: Lpips,
    config: TrainConfig,
    tokenizer_config: TokenizerConfig,
    seed: int,
    runtime: Runtime,
) -> Trainer:
    """A tokenizer and a discriminator with fresh weights that depend on the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "initial weights"))
        tokenizer = LocalTokenizer(tokenizer_config, *local_embeddings.shape, global_dim)
        trainer = Trainer(tokenizer, lpips, config, runtime)
    tokenizer.set_local_embeddings(local_embeddings)
    tokenizer.centre_codes()
    return trainer
