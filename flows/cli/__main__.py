"""`python -m flows.cli`: the command line where the console command is not on the path."""

from flows.cli import main

main()
