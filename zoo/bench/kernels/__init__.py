"""The categorical losses beside other libraries."""
