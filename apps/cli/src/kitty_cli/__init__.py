"""KITTY Coder on the command line. It talks HTTP to the services and imports none of them."""
