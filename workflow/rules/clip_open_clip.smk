# A pretrained CLIP from open_clip: nothing to train.

TEXT_ENCODER = []
CLIP_METRICS = []


rule image_features:
    input:
        code=suite.code_files("image-features"),
        manifest=rules.emoji.output.manifest,
        trunk=[],
        head=[],
    output:
        features=f"{RESULTS}/clip/image_features.safetensors",
    params:
        parameters("image-features"),
    log:
        f"{RESULTS}/logs/image-features.log",
    threads: THREADS
    shell:
        suite.command("image-features")
