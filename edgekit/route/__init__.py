"""Which engine answers a query, the one on the device or the cloud, and what the cloud is."""
