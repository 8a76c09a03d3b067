"""The studies, a file each: its tasks, what each of them measures, and what the rows say of the claim."""
