# Pictures, episodes and questions.


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
        suite.command("emoji")


rule episodes:
    input:
        code=suite.code_files("episodes"),
        manifest=rules.emoji.output.manifest,
    output:
        episodes=f"{RESULTS}/data/episodes.parquet",
    params:
        parameters("episodes"),
    log:
        f"{RESULTS}/logs/episodes.log",
    shell:
        suite.command("episodes")


rule questions:
    input:
        code=suite.code_files("questions"),
        manifest=rules.emoji.output.manifest,
    output:
        questions=f"{RESULTS}/data/questions.parquet",
    params:
        parameters("questions"),
    log:
        f"{RESULTS}/logs/questions.log",
    shell:
        suite.command("questions")


rule evaluation:
    input:
        code=suite.code_files("evaluation"),
        manifest=rules.emoji.output.manifest,
        episodes=rules.episodes.output.episodes,
    output:
        evaluation=f"{RESULTS}/data/evaluation.parquet",
    params:
        parameters("evaluation"),
    log:
        f"{RESULTS}/logs/evaluation.log",
    shell:
        suite.command("evaluation")
