//! Pull requests that mean harm: each is refused, or harmless.
