# The embedded pictures, and questions made from what is known about them.


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


rule questions:
    input:
        code=suite.code_files("questions"),
        manifest=MANIFEST,
    output:
        questions=f"{RESULTS}/data/questions.parquet",
    params:
        parameters("questions"),
    log:
        f"{RESULTS}/logs/questions.log",
    shell:
        suite.command("questions")
