"""Looking inside a trained run, and the pictures that a stage shows of its own result."""
