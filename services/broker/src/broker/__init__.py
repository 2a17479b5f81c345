"""Allow-listed commands, as argument lists and never by a shell."""
