"""The command `logpose`: a short file a command."""
