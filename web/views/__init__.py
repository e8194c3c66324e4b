"""What the pages show: pure functions from the domain to strings and small frozen view objects. No I/O, no clock."""
