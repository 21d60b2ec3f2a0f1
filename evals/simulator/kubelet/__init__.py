"""What happens on a node: containers that follow a declared behaviour."""
