//! ingress.
