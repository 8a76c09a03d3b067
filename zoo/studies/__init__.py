"""`catzoo reproduce`: the claims of arXiv 2403.03950 as studies that one machine can run.

Each study is a file in `claims/` over one runner: what its tasks are, what each of them measures, and what
the rows say of the claim. Importing this package imports nothing heavy.
"""
