# The embedded CLIP: frozen trunks, an image head trained here.

TEXT_ENCODER = suite.asset_files("text_encoder")


rule trunk_features:
    input:
        code=suite.code_files("trunk-features"),
        manifest=MANIFEST,
        networks=NETWORKS,
    output:
        trunk=f"{RESULTS}/clip/trunk_features.safetensors",
    params:
        parameters("trunk-features"),
        shard="",
    log:
        f"{RESULTS}/logs/trunk-features.log",
    threads: THREADS
    shell:
        suite.command("trunk-features")


use rule trunk_features as trunk_features_shard with:
    output:
        **parts(trunk=RESULTS + "/clip/shards/{scatteritem}.safetensors"),
    params:
        parameters("trunk-features"),
        shard=suite.shard_option,
    log:
        RESULTS + "/logs/trunk-features/{scatteritem}.log",


rule merge_trunk_features:
    input:
        **gathered(gather.trunk_features, rules.trunk_features_shard.output),
    output:
        *rules.trunk_features.output,
    log:
        RESULTS + "/logs/trunk-features/merge.log",
    shell:
        suite.merge_command("trunk-features")


rule train_clip:
    input:
        code=suite.code_files("train-clip"),
        manifest=MANIFEST,
        trunk=expand(rules.trunk_features.output.trunk),
        text_encoder=TEXT_ENCODER,
    output:
        head=f"{RESULTS}/clip/head.safetensors",
        metrics=f"{RESULTS}/clip/metrics.json",
    params:
        parameters("train-clip"),
    log:
        f"{RESULTS}/logs/train-clip.log",
    threads: THREADS
    shell:
        suite.command("train-clip")


rule image_features:
    input:
        code=suite.code_files("image-features"),
        manifest=MANIFEST,
        trunk=expand(rules.trunk_features.output.trunk),
        head=rules.train_clip.output.head,
    output:
        features=f"{RESULTS}/clip/image_features.safetensors",
    params:
        parameters("image-features"),
        shard="",
    log:
        f"{RESULTS}/logs/image-features.log",
    threads: THREADS
    shell:
        suite.command("image-features")


CLIP_METRICS = rules.train_clip.output.metrics
