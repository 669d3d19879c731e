"""What is asked for: invoices and credit notes, how they are written, numbered, settled and explained."""
