"""Host: this machine."""
