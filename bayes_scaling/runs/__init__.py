"""What comes in: the checked table of runs and where it is read from."""
