"""A run's deployments on a Prefect server: as they should be, as they are, what is to do."""
