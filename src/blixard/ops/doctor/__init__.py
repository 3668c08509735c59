"""`doctor`: whether this machine can do the work, check by check."""
