"""Who may ask: API keys, tokens, client certificates, rates, and TLS for every port."""
