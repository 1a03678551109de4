"""The commands of the command line, one a file; each takes its words and gives an exit code."""
