# Episodes, and which pictures are evaluated.


rule episodes:
    input:
        code=suite.code_files("episodes"),
        manifest=MANIFEST,
    output:
        episodes=f"{RESULTS}/data/episodes.parquet",
    params:
        parameters("episodes"),
    log:
        f"{RESULTS}/logs/episodes.log",
    priority: 3
    shell:
        suite.command("episodes")


rule evaluation:
    input:
        code=suite.code_files("evaluation"),
        manifest=MANIFEST,
        episodes=rules.episodes.output.episodes,
    output:
        evaluation=f"{RESULTS}/data/evaluation.parquet",
    params:
        parameters("evaluation"),
    log:
        f"{RESULTS}/logs/evaluation.log",
    shell:
        suite.command("evaluation")
