"""What the numbers of the README and of docs/performance.md come from."""
