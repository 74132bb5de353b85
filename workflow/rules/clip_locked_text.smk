# The embedded CLIP: frozen trunks, an image head trained here.

TEXT_ENCODER = suite.asset_files("text_encoder")


rule trunk_features:
    input:
        code=suite.code_files("trunk-features"),
        manifest=rules.emoji.output.manifest,
        networks=suite.asset_files("networks"),
    output:
        trunk=f"{RESULTS}/clip/trunk_features.safetensors",
    params:
        parameters("trunk-features"),
    log:
        f"{RESULTS}/logs/trunk-features.log",
    threads: THREADS
    shell:
        "v2l trunk-features --config {CONFIG} --manifest {input.manifest} --networks {input.networks[0]}"
        " --trunk {output.trunk} --log {log}"


rule train_clip:
    input:
        code=suite.code_files("train-clip"),
        manifest=rules.emoji.output.manifest,
        trunk=rules.trunk_features.output.trunk,
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
        "v2l train-clip --config {CONFIG} --manifest {input.manifest} --trunk {input.trunk}"
        " --text-encoder {input.text_encoder[0]} --head {output.head} --metrics {output.metrics} --log {log}"


rule image_features:
    input:
        code=suite.code_files("image-features"),
        manifest=rules.emoji.output.manifest,
        trunk=rules.trunk_features.output.trunk,
        head=rules.train_clip.output.head,
    output:
        features=f"{RESULTS}/clip/image_features.safetensors",
    params:
        parameters("image-features"),
    log:
        f"{RESULTS}/logs/image-features.log",
    threads: THREADS
    shell:
        "v2l image-features --config {CONFIG} --manifest {input.manifest} --trunk {input.trunk} --head {input.head}"
        " --features {output.features} --log {log}"


CLIP_METRICS = {"clip": rules.train_clip.output.metrics}
