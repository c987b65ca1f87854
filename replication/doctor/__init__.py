"""What a profile needs, what of it is missing here, and how long it will take."""
