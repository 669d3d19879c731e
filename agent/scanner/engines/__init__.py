"""Signature engines behind one port, and the compiled rules that are kept between starts."""
