# The embedded CLIP: frozen trunks, an image head trained here.

TEXT_ENCODER = ["data/text_encoder/manifest.json"]


rule trunk_features:
    input:
        manifest=rules.emoji.output.manifest,
        networks="data/networks/manifest.json",
    output:
        trunk=f"{RESULTS}/clip/trunk_features.safetensors",
    params:
        parameters("trunk-features"),
    log:
        f"{RESULTS}/logs/trunk-features.log",
    threads: THREADS
    shell:
        "v2l trunk-features --config {CONFIG} --manifest {input.manifest} --networks {input.networks}"
        " --trunk {output.trunk} --log {log}"


rule train_clip:
    input:
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
        " --text-encoder {input.text_encoder} --head {output.head} --metrics {output.metrics} --log {log}"


rule image_features:
    input:
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
