"""Values and rules of the app, without a network: events, names, recordings, manifests."""
