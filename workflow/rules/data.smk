# Embedded assets, pictures and episodes.


rule fetch:
    output:
        manifest="data/{asset}/manifest.json",
    params:
        folder="data/{asset}",
    log:
        RESULTS + "/logs/fetch-{asset}.log",
    wildcard_constraints:
        asset="icons|llm|networks|text_encoder",
    shell:
        "v2l fetch --config {CONFIG} --asset {wildcards.asset} --folder {params.folder} --log {log}"


rule emoji:
    input:
        icons="data/icons/manifest.json",
    output:
        pictures=directory(f"{RESULTS}/data/pictures"),
        manifest=f"{RESULTS}/data/manifest.parquet",
        report=f"{RESULTS}/data/report.json",
    params:
        parameters("emoji"),
    log:
        f"{RESULTS}/logs/emoji.log",
    threads: THREADS
    shell:
        "v2l emoji --config {CONFIG} --icons {input.icons}"
        " --pictures {output.pictures} --manifest {output.manifest} --report {output.report} --log {log}"


rule episodes:
    input:
        manifest=rules.emoji.output.manifest,
    output:
        episodes=f"{RESULTS}/classify/episodes.parquet",
    params:
        parameters("episodes"),
    log:
        f"{RESULTS}/logs/episodes.log",
    shell:
        "v2l episodes --config {CONFIG} --manifest {input.manifest} --episodes {output.episodes} --log {log}"
