"""What things are: frozen values, enums and the protocols between rooms. Standard library only."""
