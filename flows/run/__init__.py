"""Ways to run: in this process, through Prefect's server for a command, on a server that stays."""
