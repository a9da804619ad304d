"""Can any parameters represent the target on a box: a witness, an impossibility, or how nearly."""
