"""The autoencoder whose encoder InCo2 looks through."""
