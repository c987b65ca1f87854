"""Tables, figures and the site that joins them."""
