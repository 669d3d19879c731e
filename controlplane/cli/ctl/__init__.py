"""The commands of `bucklerctl`, one file per group, in rooms named after the capabilities that answer them."""
