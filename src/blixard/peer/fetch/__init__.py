"""The receiving side: connections to senders, what is wanted from whom, records as they come."""
