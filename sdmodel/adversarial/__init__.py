"""What learns against another: losses of discriminators and of what they judge."""
