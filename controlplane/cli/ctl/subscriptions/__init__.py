"""What is paid for, until when, and how it is changed."""
