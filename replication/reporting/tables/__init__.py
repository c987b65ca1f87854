"""Result tables beside the printed ones."""
