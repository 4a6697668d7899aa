//! nextscale
