"""Events a second and seconds an event, from Kafka to a committed score."""
