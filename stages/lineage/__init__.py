"""OpenLineage events of every call of a stage, for catalogues of lineage such as Marquez and DataHub."""
