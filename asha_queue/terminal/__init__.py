"""What people see on a terminal, or read from a pipe."""
