"""Prefect: order, retries, schedules, artifacts for people. The only package that knows Prefect."""
