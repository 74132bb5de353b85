"""What works on pictures: training, the encoder and decoder, CLIP."""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from pathlib import Path

import numpy as np
import torch

from v2l.clip.pictures import PASS_PICTURES as PASS_IMAGES
from v2l.config.tokenizer import TokenizerConfig
from v2l.config.tree import Config
from v2l.data.images import to_tensor
from v2l.experiments.measures import PASS_PICTURES, Measures, measure
from v2l.graph.spec import MAIN_TOKENIZER
from v2l.models.clip import OpenClip
from v2l.models.perceptual import Lpips
from v2l.runtime import Runtime
from v2l.tokenizer.base import ImageTokenizer, Sources
from v2l.tokenizer.local_tokens import PASS_PICTURES as ENCODED_AT_ONCE
from v2l.tokenizer.local_tokens import encode_pictures
from v2l.tokenizer.quantizers import nearest_rows
from v2l.training.loop import Guides
from v2l.training.pictures import TrainingPictures
from v2l.training.train import make_trainer
from v2l.training.trainer import Trainer

from ..common.machine import Measured, flops_of, peak_memory, reset_peak_memory
from ..common.sizes import Size
from ..common.stand_ins import random_clip, write_networks

NUM_TEXTS = 4096  # several passes of every length

Clock = Callable[[Callable[[], object], int], float]  # seconds that work takes, done so many times


def configured_tokenizer(config: Config, size: Size) -> TokenizerConfig:
    """The paper's own tokenizer in this size."""
    return config.tokenizers[MAIN_TOKENIZER].model_copy(update=dict(size.tokenizer))


def measure_pictures(
    config: Config, size: Size, runtime: Runtime, gpus: int, folder: Path, clock: Clock
) -> Iterator[tuple[str, Measured]]:
    """Training with and without stored image features, CLIP's two towers, the encoder, the decoder with its measures.

    A batch is one GPU's share; time spent on averaging gradients between GPUs is not in it. FLOPs are counted over one
    time that work is done, before it is timed.
    """
    clip = OpenClip(random_clip(config.clip, size, folder), runtime)
    networks = write_networks(folder)
    yield from _measure_clip(clip, size, clock)
    sizes, batch = configured_tokenizer(config, size), size.batch or max(1, config.train.batch_size // gpus)
    generator = np.random.default_rng(0)
    side = sizes.image_size_px
    pixels = list(generator.integers(256, size=(4 * batch, side, side, 3), dtype=np.uint8))
    pictures = TrainingPictures(pixels, [str(i) for i in range(len(pixels))], side, config.seed)
    codebook = torch.randn(size.codebook, clip.dim)
    sources = Sources({"embeddings": torch.randn(size.vocabulary, clip.dim), "global_vectors": codebook})
    lpips = Lpips(networks, config.train.perceptual_net)
    trainer = make_trainer(sources, pictures, lpips, config.train, sizes, config.seed, runtime)
    yield from _measure_training(trainer, pictures, codebook, clip, size, batch, clock)
    tokenizer = trainer.tokenizer.eval().requires_grad_(False)
    del trainer, lpips
    yield from _measure_tokenizer(tokenizer, codebook, Measures.load(networks, runtime.device), size, runtime, clock)


def _measure_clip(clip: OpenClip, size: Size, clock: Clock) -> Iterator[tuple[str, Measured]]:
    pixels = torch.rand(size.image_batch or PASS_IMAGES, 3, clip.size_px, clip.size_px)
    yield "clip images", _measured(lambda: clip.encode_image(pixels), "pictures", len(pixels), size, clock)
    texts = [f"a photo of a w{i}." for i in range(NUM_TEXTS if size.clip is None else len(pixels))]
    yield "clip texts", _measured(lambda: clip.encode_text(texts), "texts", len(texts), size, clock)


def _measured(
    work: Callable[[], object], unit: str, items: int, size: Size, clock: Clock, fp32: bool = False
) -> Measured:
    flops = flops_of(work) * size.passes
    return Measured({unit: items * size.passes}, flops, clock(work, size.passes), fp32=fp32)


def _measure_training(
    trainer: Trainer,
    pictures: TrainingPictures,
    codebook: torch.Tensor,
    clip: OpenClip,
    size: Size,
    batch: int,
    clock: Clock,
) -> Iterator[tuple[str, Measured]]:
    """The inside of `v2l.training.loop.fit`, with the discriminator, as nearly all of the paper's steps are."""
    device, config, numbers = trainer.runtime.device, trainer.config, count()
    features = torch.nn.functional.normalize(torch.randn(len(pictures), clip.dim), dim=1)
    stored = Guides(features, nearest_rows(features, codebook, trainer.tokenizer.config.num_global), codebook)
    seen, on_device = torch.rand(batch, 3, clip.size_px, clip.size_px), codebook.to(device)

    def step(cached: bool) -> None:
        images, rows = pictures.batch(next(numbers), batch)
        if cached:
            vectors, image_features = stored.of(rows, device)
        else:
            image_features = clip.encode_image(seen).to(device)
            vectors = on_device[nearest_rows(image_features, on_device, trainer.tokenizer.config.num_global)]
        terms = trainer.step(to_tensor(images), vectors, config.gan_start_step, config.learning_rate, image_features)
        float(terms["total"])  # fit looks at it after every step

    for name, cached in (("training, features cached", True), ("training, features not cached", False)):
        flops = flops_of(partial(step, cached)) * size.steps
        reset_peak_memory(device)
        seconds = clock(partial(step, cached), size.steps)
        yield name, Measured({"pictures": batch * size.steps}, flops, seconds, peak_memory(device))


def _measure_tokenizer(
    tokenizer: ImageTokenizer, codebook: torch.Tensor, measures: Measures, size: Size, runtime: Runtime, clock: Clock
) -> Iterator[tuple[str, Measured]]:
    """In fp32 and in the stages' own passes. VGG16 stands in for Inception, which has weights of its own."""
    device, side = runtime.device, tokenizer.config.image_size_px
    images = np.random.default_rng(0).integers(256, size=(4 * ENCODED_AT_ONCE, side, side, 3), dtype=np.uint8)

    def encode() -> np.ndarray:
        return encode_pictures(tokenizer, images, device)

    yield "local tokens", _measured(encode, "pictures", len(images), size, clock, fp32=True)
    ids = torch.from_numpy(encode()[:PASS_PICTURES]).to(device)
    vectors = codebook[: tokenizer.config.num_global].expand(PASS_PICTURES, -1, -1).to(device)
    originals = to_tensor(images[:PASS_PICTURES]).to(device)

    @torch.inference_mode()
    def decode() -> None:
        decoded = tokenizer.decode_ids(ids, vectors).clamp(0, 1)
        measure(originals, decoded, measures, "rgb")
        measures.features(originals)
        measures.features(decoded)

    yield "decoding and measures", _measured(decode, "pictures", PASS_PICTURES, size, clock, fp32=True)
