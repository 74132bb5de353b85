# Lets `snakemake` run from the root of the checkout; the workflow itself is workflow/Snakefile.
include: "workflow/Snakefile"


rule default:
    default_target: True
    input:
        rules.all.input,
