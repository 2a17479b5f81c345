"""What every KITTY program shares: errors, settings, logs and the service shell."""
