"""`catzoo report`: many runs compared, as a page, pictures and tables. Imports no torch."""
