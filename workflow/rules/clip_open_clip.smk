# A pretrained CLIP from open_clip: nothing to train.

TEXT_ENCODER = []


rule image_features:
    input:
        code=suite.code_files("image-features"),
        manifest=rules.emoji.output.manifest,
    output:
        features=f"{RESULTS}/clip/image_features.safetensors",
    params:
        parameters("image-features"),
    log:
        f"{RESULTS}/logs/image-features.log",
    threads: THREADS
    shell:
        "v2l image-features --config {CONFIG} --manifest {input.manifest} --features {output.features} --log {log}"


CLIP_METRICS = {}
