"""What the function is compared with: each a source file for functions-framework."""
