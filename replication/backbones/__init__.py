"""Networks that others look through: parser, perceptual features, reconstruction, embedding."""
