"""Stage ``train-clip``: the image head of the locked-text CLIP.

Locked-image tuning (LiT) turned round: text encoder and image trunk stay frozen; the head learns by cross-entropy over
the texts of all classes, with a learned scale. Pictures of the held-out artist family are never seen.
"""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from v2l.artifacts import read_arrays, write_arrays, write_json
from v2l.config.clip import LockedTextConfig
from v2l.data.manifest import heldout_rows, read_manifest, training_rows
from v2l.metrics.intervals import proportion_interval
from v2l.models.clip import ImageHead
from v2l.models.text_encoder import TextEncoder
from v2l.progress import track
from v2l.runtime import Runtime
from v2l.seeds import numpy_generator

CLASS_TEXT = "a photo of a {}."


def fit_head(
    features: Tensor, labels: Tensor, class_vectors: Tensor, config: LockedTextConfig, seed: int
) -> ImageHead:  # fmt: skip
    """Trains the head.

    features: [N, in_dim] float32.   labels: [N] int64 in 0..C-1.   class_vectors: [C, d] float32, unit length.
    Returns the head in evaluation mode.
    """
    head = ImageHead(features.shape[1], config.hidden, class_vectors.shape[1], config.dropout, config.input_noise)
    head.mean.copy_(features.mean(dim=0))
    head.std.copy_(features.std(dim=0).clamp_min(1e-6))
    log_scale = nn.Parameter(torch.tensor(np.log(1 / 0.07), dtype=torch.float32))  # CLIP's initial temperature
    optimiser = torch.optim.AdamW(
        [*head.parameters(), log_scale], lr=config.learning_rate, weight_decay=config.weight_decay
    )
    head.train()
    for epoch in track(range(config.epochs), "CLIP head", config.epochs, "epochs"):
        order = torch.from_numpy(numpy_generator(seed, "clip-order", epoch).permutation(len(labels)))
        for batch in order.split(config.batch_size):
            logits = log_scale.exp() * head(features[batch]) @ class_vectors.T
            loss = nn.functional.cross_entropy(logits, labels[batch])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return head.eval()


def zero_shot_ranks(vectors: Tensor, labels: Tensor, class_vectors: Tensor) -> np.ndarray:
    """Rank of the true class among all classes by cosine, 0 for the best: [N] int64."""
    scores = vectors @ class_vectors.T
    return (scores > scores.gather(1, labels[:, None])).sum(dim=1).numpy()


def train_clip(
    manifest: Path,
    trunk: Path,
    text_encoder: Path,
    head: Path,
    metrics: Path,
    clip: LockedTextConfig,
    seed: int,
    runtime: Runtime,
) -> None:
    """Writes the head's weights and the zero-shot accuracy on the held-out family."""
    pictures = read_manifest(manifest)
    names = pictures.drop_duplicates("class_id").sort_values("class_id")["class_name"]
    class_vectors = TextEncoder(text_encoder.parent, runtime).encode([CLASS_TEXT.format(name) for name in names])
    features = torch.from_numpy(read_arrays(trunk, ["features"])["features"])
    labels = torch.tensor(pictures["class_id"].tolist())
    training, heldout = (
        training_rows(pictures).index.to_numpy(copy=True),
        heldout_rows(pictures).index.to_numpy(copy=True),
    )
    model = fit_head(features[training], labels[training], class_vectors, clip, seed)
    with torch.inference_mode():
        ranks = zero_shot_ranks(model(features[heldout]), labels[heldout], class_vectors)
    write_arrays(head, {name: value.numpy() for name, value in model.state_dict().items()})
    write_json(metrics, {f"zero_shot_top{k} | held-out": _accuracy(ranks < k, len(names)) for k in (1, 5)})


def _accuracy(hits: np.ndarray, num_classes: int) -> dict[str, Any]:
    """One value of the metrics file; it has no rows artifact, the head is all this stage leaves."""
    estimate = proportion_interval(hits.sum(), len(hits))
    return {**asdict(estimate), "unit": f"fraction, {num_classes} classes", "better": "higher", "rows": None}
