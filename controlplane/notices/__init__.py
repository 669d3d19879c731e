"""What customers are told by mail: written in the transaction of what happened, delivered until it has arrived."""
