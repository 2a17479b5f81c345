"""What every KITTY program shares: errors, settings, logs, the service shell, the tool registry."""
