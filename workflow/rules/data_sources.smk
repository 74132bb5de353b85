# The paper's data sets, where their owners' files lie.


rule pictures:
    input:
        code=suite.code_files("pictures"),
    output:
        manifest=f"{RESULTS}/data/manifest.parquet",
        report=f"{RESULTS}/data/report.json",
        questions=f"{RESULTS}/data/questions.parquet",
    params:
        parameters("pictures"),
    log:
        f"{RESULTS}/logs/pictures.log",
    threads: THREADS
    shell:
        suite.command("pictures")
