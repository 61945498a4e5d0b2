"""What people are told of results, as data: terminals, Prefect's artifacts and pages show it."""
