"""The commands of the command line: arguments to calls, no logic."""
