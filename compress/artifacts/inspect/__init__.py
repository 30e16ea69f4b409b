"""What is in an artifact's file: bits, bytes, operators."""
