"""Stages that decode pictures: reconstruction, restoration in context, masked restoration after tuning."""

from dataclasses import replace

from v2l.graph.files import (
    CODEBOOK_VECTORS,
    GLOBAL_TOKENS,
    LOCAL_TOKENS,
    NETWORKS,
    PICTURES,
    TOKENIZER,
    TOKENIZER_OPTION,
)
from v2l.graph.spec import Spec, Stage, result
from v2l.shards import JOINED


def of_each(spec: Spec, key: str) -> Spec:
    """The files of all tokenizers that the configuration lists under ``key``."""
    return replace(spec, path=spec.path.replace("{name}", "{}"), each=key)


RECONSTRUCTION_ROWS = result("reconstruct/rows_{name}.parquet", "PSNR, SSIM and LPIPS of each picture")
RECONSTRUCTION_FEATURES = result("reconstruct/features_{name}.safetensors", "features for the Fréchet distance")
RECONSTRUCTION_EXAMPLES = result("reconstruct/examples_{name}.parquet", "some pictures, before and after, as PNG")
RECONSTRUCTION = result("reconstruct/metrics.json", "reconstruction quality by tokenizer")
RESTORATION_ROWS = result("restore/rows_{name}.parquet", "measures of each picture by task and condition")
RESTORATION_FEATURES = result("restore/features_{name}.safetensors", "features for the Fréchet distance")
RESTORATION_EXAMPLES = result("restore/examples_{name}.parquet", "some pictures by task, as PNG")
RESTORATION = result("restore/metrics.json", "restoration quality by tokenizer, task and condition")
ADAPTER = result("masked/adapter_model.safetensors", "LoRA adapter of the LLM")
ADAPTER_CONFIG = result("masked/adapter_config.json", "configuration of the adapter, as peft reads it")
MASKED_ROWS = result("masked/rows.parquet", "measures of each picture by condition")
MASKED_EXAMPLES = result("masked/examples.parquet", "some pictures by condition, as PNG")
MASKED = result("masked/metrics.json", "masked restoration by condition")

STAGES = (
    Stage(
        "reconstruct",
        "reconstruct",
        "v2l.experiments.reconstruct:reconstruct",
        "Decode the tokens of held-out pictures and measure each reconstruction.",
        inputs={
            "manifest": PICTURES,
            "global_tokens": GLOBAL_TOKENS,
            "local_tokens": LOCAL_TOKENS,
            "tokenizer": TOKENIZER,
            "global_vectors": CODEBOOK_VECTORS,
            "networks": NETWORKS,
        },
        outputs={
            "rows": RECONSTRUCTION_ROWS,
            "features": RECONSTRUCTION_FEATURES,
            "examples": RECONSTRUCTION_EXAMPLES,
        },
        params={"config": "reconstruct", "frechet": "frechet", "num_examples": "figures.num_pictures"},
        options={"name": TOKENIZER_OPTION},
    ),
    Stage(
        "reconstruct-metrics",
        "reconstruct",
        "v2l.metrics.reconstruction:reconstruct_metrics",
        "Means with intervals and the Fréchet distance of the reconstructions.",
        inputs={
            "rows": of_each(RECONSTRUCTION_ROWS, "tokenizers"),
            "features": of_each(RECONSTRUCTION_FEATURES, "tokenizers"),
        },
        outputs={"metrics": RECONSTRUCTION},
        params={"frechet": "frechet"},
        compute=False,
    ),
    Stage(
        "restore",
        "restore",
        "v2l.experiments.restore:restore",
        "Let the LLM restore degraded token maps in context, and measure the pictures.",
        inputs={
            "manifest": PICTURES,
            "tokenizer": TOKENIZER,
            "global_tokens": GLOBAL_TOKENS,
            "global_vectors": CODEBOOK_VECTORS,
            "networks": NETWORKS,
        },
        outputs={
            "rows": RESTORATION_ROWS,
            "decisions": result("restore/decisions_{name}.parquet", "one row a window: predicted and true ids"),
            "features": RESTORATION_FEATURES,
            "examples": RESTORATION_EXAMPLES,
        },
        params={
            "config": "restore.protocol",
            "run": "restore.runs.{name}",
            "frechet": "frechet",
            "llm": "llm",
        },
        options={"name": replace(TOKENIZER_OPTION, description="the run, one of restore.runs")},
        seeded=True,
        shards=dict.fromkeys(("rows", "decisions", "features", "examples"), JOINED),
    ),
    Stage(
        "restore-metrics",
        "restore",
        "v2l.metrics.restoration:restore_metrics",
        "Restoration measures with intervals by tokenizer, task and condition.",
        inputs={
            "rows": of_each(RESTORATION_ROWS, "restore.runs"),
            "features": of_each(RESTORATION_FEATURES, "restore.runs"),
        },
        outputs={"metrics": RESTORATION},
        params={"frechet": "frechet"},
        compute=False,
    ),
    Stage(
        "tune-lora",
        "masked",
        "v2l.training.lora:tune_lora",
        "Tune the LLM with LoRA to fill in masked tokens; resumes from its last checkpoint.",
        inputs={"manifest": PICTURES, "local_tokens": LOCAL_TOKENS},
        outputs={
            "adapter": ADAPTER,
            "adapter_config": ADAPTER_CONFIG,
            "loss": result("masked/loss.csv", "loss by step"),
        },
        params={"config": "masked.lora", "mask": "masked.mask", "llm": "llm"},
        seeded=True,
        resumable=True,
    ),
    Stage(
        "masked",
        "masked",
        "v2l.experiments.masked:masked",
        "Fill in masked tokens of held-out pictures, before and after tuning.",
        inputs={
            "manifest": PICTURES,
            "local_tokens": LOCAL_TOKENS,
            "global_tokens": GLOBAL_TOKENS,
            "global_vectors": CODEBOOK_VECTORS,
            "tokenizer": TOKENIZER,
            "networks": NETWORKS,
            "adapter": ADAPTER,
            "adapter_config": ADAPTER_CONFIG,
        },
        outputs={
            "rows": MASKED_ROWS,
            "decisions": result("masked/decisions.parquet", "one row a picture and condition: predicted and true ids"),
            "examples": MASKED_EXAMPLES,
        },
        params={"config": "masked", "llm": "llm"},
        seeded=True,
    ),
    Stage(
        "masked-metrics",
        "masked",
        "v2l.metrics.masked:masked_metrics",
        "Masked restoration with intervals by condition.",
        inputs={"rows": MASKED_ROWS},
        outputs={"metrics": MASKED},
        compute=False,
    ),
)
