"""What an organisation sets on its devices: documents, for whom they are, and how far each revision has come."""
