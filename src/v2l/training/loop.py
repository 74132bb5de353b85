"""The training loop of all kinds of tokenizers: data, schedule, curves, checkpoints (paper, section 4.1)."""

import logging
import math
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from v2l.data.images import to_tensor
from v2l.errors import ArtifactError, ModelError
from v2l.progress import Progress
from v2l.training.checkpoint import TrainingState, load_checkpoint, save_checkpoint
from v2l.training.curves import Curves
from v2l.training.pictures import TrainingPictures
from v2l.training.schedule import Schedule
from v2l.training.stopping import StoppedError, stop_request
from v2l.training.trainer import Trainer

logger = logging.getLogger(__name__)

CHECKPOINT = "checkpoint.safetensors"


@dataclass(frozen=True)
class Guides:
    """What a tokenizer sees of the training pictures besides pixels; None where its kind does without.

    image_features: unit CLIP features [N, d].   global_ids: [N, num_global] rows of ``global_codebook`` [G, g].
    """

    image_features: Tensor | None = None
    global_ids: Tensor | None = None
    global_codebook: Tensor | None = None

    def of(self, rows: np.ndarray, device: torch.device) -> tuple[Tensor | None, Tensor | None]:
        """Global vectors [B, num_global, g] and image features [B, d] of the pictures in ``rows``."""
        vectors = None if self.global_ids is None else self.global_codebook[self.global_ids[rows]].to(device)
        return vectors, None if self.image_features is None else self.image_features[rows].to(device)


def fit(
    trainer: Trainer,
    pictures: TrainingPictures,
    guides: Guides,
    scratch: Path,
    tensorboard: Path,
) -> Curves:
    """Trains to the end, from the last checkpoint in ``scratch`` if there is one; the result is the same either way.

    Every process of the trainer's calls this; the first one writes. Raises ModelError if the loss is no longer a
    finite number, StoppedError after SIGTERM, with a checkpoint saved, DataError at a picture that cannot be read.
    """
    config, curves, processes = trainer.config, Curves(), trainer.processes
    share = processes.share(config.batch_size)
    schedule = Schedule(config, len(pictures))
    state = TrainingState(
        {"tokenizer": trainer.tokenizer, "discriminator": trainer.discriminator},
        {"tokenizer": trainer.generator_optimiser, "discriminator": trainer.discriminator_optimiser},
        curves,
    )
    start = _begin(trainer, state, scratch)
    with ExitStack() as stack:
        stop = stack.enter_context(stop_request())
        progress = stack.enter_context(Progress("train", schedule.total_steps, "steps", done=start))
        writer = stack.enter_context(SummaryWriter(tensorboard, purge_step=start)) if processes.first else None
        steps = range(start, schedule.total_steps)
        workers = trainer.runtime.loader_workers
        batches = stack.enter_context(closing(pictures.batches(steps, config.batch_size, share, workers)))
        for step, (batch, rows) in zip(steps, batches, strict=True):
            vectors, image_features = guides.of(rows, trainer.runtime.device)
            rate = schedule.learning_rate(step)
            terms = trainer.step(to_tensor(batch), vectors, step, rate, image_features)
            if not math.isfinite(terms["total"]):
                raise ModelError(f"train: expected a finite loss, found {float(terms['total'])} at step {step}")
            last = step == schedule.total_steps - 1
            if step % config.log_steps == 0 or last:
                values = {name: float(term) for name, term in terms.items()}
                curves.add({"step": step, "epoch": step / schedule.steps_per_epoch, "learning_rate": rate, **values})
                if writer is not None:
                    for name, value in values.items():
                        writer.add_scalar(f"train/{name}", value, step)
            stopped = processes.any(stop.made, trainer.runtime.device) and not last
            if processes.first and (stopped or (step + 1) % config.checkpoint_steps == 0):
                save_checkpoint(scratch / CHECKPOINT, state, step + 1)
            if stopped:
                processes.wait()  # whoever ends first has the others ended
                raise StoppedError("train", step + 1)
            progress.advance(
                1, f"loss {float(terms['total']):.3f}, reconstruction {float(terms['reconstruction']):.3f}"
            )
    return curves


def _begin(trainer: Trainer, state: TrainingState, scratch: Path) -> int:
    """Loads the last checkpoint and returns the steps done; all processes begin with the first one's weights.

    Raises ArtifactError if processes find different checkpoints.
    """
    start = load_checkpoint(scratch / CHECKPOINT, state)
    starts = trainer.processes.gather(torch.tensor([start], device=trainer.runtime.device)).tolist()
    if len(set(starts)) > 1:
        raise ArtifactError(
            f"{scratch}: expected one checkpoint in a folder that all nodes share, found those of steps "
            f"{', '.join(map(str, sorted(set(starts))))}"
        )
    tensors = [tensor for network in state.networks.values() for tensor in network.state_dict().values()]
    trainer.processes.copy_from_first(tensors)
    if start:
        logger.info("train: goes on from step %d", start)
    return start
