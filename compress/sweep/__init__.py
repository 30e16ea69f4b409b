"""`compress sweep`: many recipes, or one with many settings, on many targets, each shared part of the work once."""
