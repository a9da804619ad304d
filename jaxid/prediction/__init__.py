"""What should this optimizer achieve? The loss of every epoch, said before the first step."""
