"""What prune and distill are made of: channels, their importance, widths, the student's start."""
