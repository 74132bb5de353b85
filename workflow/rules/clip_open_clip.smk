# A pretrained CLIP from open_clip: nothing to train.

TEXT_ENCODER = []
CLIP_METRICS = []


rule image_features:
    input:
        code=suite.code_files("image-features"),
        manifest=MANIFEST,
        trunk=[],
        head=[],
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


use rule image_features as image_features_shard with:
    output:
        **parts(features=RESULTS + "/clip/shards/{scatteritem}.safetensors"),
    params:
        parameters("image-features"),
        shard=suite.shard_option,
    log:
        RESULTS + "/logs/image-features/{scatteritem}.log",


rule merge_image_features:
    input:
        **gathered(gather.image_features, rules.image_features_shard.output),
    output:
        *rules.image_features.output,
    log:
        RESULTS + "/logs/image-features/merge.log",
    shell:
        suite.merge_command("image-features")
