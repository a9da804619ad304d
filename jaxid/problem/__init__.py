"""What is diagnosed: a model, a loss, data, an optimizer; and what is looked at before it runs."""
