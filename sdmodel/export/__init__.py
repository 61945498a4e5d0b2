"""Models in the layouts of other libraries."""
