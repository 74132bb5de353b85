# Pictures and episodes.


rule emoji:
    input:
        code=suite.code_files("emoji"),
        icons=suite.asset_files("icons"),
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
        "v2l emoji --config {CONFIG} --icons {input.icons[0]}"
        " --pictures {output.pictures} --manifest {output.manifest} --report {output.report} --log {log}"


rule episodes:
    input:
        code=suite.code_files("episodes"),
        manifest=rules.emoji.output.manifest,
    output:
        episodes=f"{RESULTS}/classify/episodes.parquet",
    params:
        parameters("episodes"),
    log:
        f"{RESULTS}/logs/episodes.log",
    shell:
        "v2l episodes --config {CONFIG} --manifest {input.manifest} --episodes {output.episodes} --log {log}"
